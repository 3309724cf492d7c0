const BATCH_SIZE = 1000;

/**
 * Repeats a statement that treats at most `limit` rows and tells how many there were, until nothing is
 * left: no lock is held for long, and nobody waits behind it.
 *
 * @returns how many there were in all
 */
export async function inBatches(
  statement: (limit: number) => Promise<number>,
  limit = BATCH_SIZE,
): Promise<number> {
  let total = 0;
  let count: number;
  do {
    count = await statement(limit);
    total += count;
  } while (count === limit);
  return total;
}
