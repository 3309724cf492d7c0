import { z } from 'zod';

const MAX_LENGTH = 16_384;
const MAX_DEPTH = 8;

const Key = z.string().regex(/^[\w.:-]{1,64}$/);

/** What apps keep for a user: a JSON object, of which each app has keys of its own. */
export const Preferences = z
  .record(Key, z.unknown())
  .meta({ id: 'Preferences', example: { theme: 'dark', 'map.layers': ['trees'] } });
export type Preferences = z.infer<typeof Preferences>;

export const UpdatePreferencesBody = z
  .record(Key, z.unknown())
  .superRefine((preferences, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    if (!isStorable(preferences, MAX_DEPTH)) {
      refuse(
        `Expected JSON at most ${MAX_DEPTH} levels deep, of finite numbers and well-formed text without NUL`,
      );
    } else if (!fitsPreferences(preferences)) refuse(tooManyPreferences);
  })
  .meta({
    id: 'UpdatePreferencesBody',
    description: 'Each key replaces the value that was stored under it; null removes it',
    example: { theme: 'dark', 'map.layers': null },
  });
export type UpdatePreferencesBody = z.infer<typeof UpdatePreferencesBody>;

export const tooManyPreferences = `All preferences together may have ${MAX_LENGTH} characters as JSON`;

/** Whether all preferences together keep to the limit. */
export function fitsPreferences(preferences: Preferences): boolean {
  return JSON.stringify(preferences).length <= MAX_LENGTH;
}

/** PostgreSQL stores neither NUL nor half of a surrogate pair, and JSON has no infinite numbers. */
function isStorable(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return !/\0|\p{Surrogate}/u.test(value);
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  return (
    depth > 0 &&
    Object.entries(value).every(
      ([key, entry]) => isStorable(key, depth) && isStorable(entry, depth - 1),
    )
  );
}
