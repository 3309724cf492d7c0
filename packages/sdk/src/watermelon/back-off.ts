const FIRST_BACK_OFF_MS = 2000;
const MAX_BACK_OFF_MS = 5 * 60 * 1000;

/** Doubles with each failure; half of it is random, so that devices do not return all at once. */
export function backOffMs(failures: number, random: () => number): number {
  const fullMs = Math.min(FIRST_BACK_OFF_MS * 2 ** (failures - 1), MAX_BACK_OFF_MS);
  return Math.round(fullMs * (0.5 + random() / 2));
}
