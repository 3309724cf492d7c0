import { DisplayName } from '@rind/contracts';

const MAX_LENGTH = 100;

/** The provider's name of a user, made to fit; without one, what stands before the `@`. */
export function displayNameOf(name: string | null, email: string): string {
  const fitting = DisplayName.safeParse(fit(name ?? ''));
  return fitting.success ? fitting.data : fit(email.split('@', 1)[0]!);
}

function fit(name: string): string {
  return (
    name
      .replaceAll(/\p{Cc}+/gu, ' ')
      .trim()
      .slice(0, MAX_LENGTH)
      // Half of a character that the cut went through.
      .replace(/[\uD800-\uDBFF]$/, '')
      .toWellFormed()
  );
}
