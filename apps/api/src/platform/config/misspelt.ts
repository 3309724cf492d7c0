/** What several variables begin with: a name that begins so, too, is meant for this program. */
const FAMILY = /^(RATE_LIMIT|OAUTH|RIND|SYNC|JWT|REALTIME|DATABASE|ENCRYPTION|SHUTDOWN)_/;
/** Of the first few letters of a name, none is by chance. */
const MIN_BEGINNING = 8;

/**
 * A sentence for each variable that looks like a known one and is none: whoever set it believes that it
 * counts. Other programs have variables of their own, so that unknown ones are no fault.
 */
export function findMisspelt(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): string[] {
  return Object.keys(environment)
    .filter((name) => !known.includes(name))
    .flatMap((name) => {
      const meant = known.find((candidate) => looksLike(name, candidate));
      return meant === undefined ? [] : [`${name} is not read: is ${meant} meant?`];
    });
}

function looksLike(name: string, known: string): boolean {
  const upper = name.toUpperCase();
  if (upper === known) return true;
  const isBeginning = FAMILY.test(upper) && upper.length >= MIN_BEGINNING;
  if (isBeginning && known.startsWith(upper)) return true;
  return distance(upper, known) <= allowedDistance(known.length);
}

/** Short names are near to each other without being meant. */
function allowedDistance(length: number): number {
  if (length < 8) return 1;
  return length < 16 ? 2 : 3;
}

/** How many letters have to be put in, left out, exchanged or swapped with their neighbour. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Infinity;
  let [beforeLast, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}
