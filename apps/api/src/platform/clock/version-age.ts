/** The clocks of the API's machine and the database's differ a little. */
const CLOCK_SKEW_MS = 1000;

/**
 * For how long a version of sync, a time of the database's clock, has been there. Null where it lies in
 * the future: restoring a backup moves clocks ahead, and for as long versions say nothing about time.
 */
export function secondsSinceVersion(version: number, nowMs: number): number | null {
  const ageMs = nowMs - version;
  return ageMs < -CLOCK_SKEW_MS ? null : Math.max(0, ageMs) / 1000;
}
