const BATCH_SIZE = 1000;
const USERS_PER_BATCH = 200;

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

/**
 * Treats one user after the other of those that `list` names: in the order of their ids, at most `limit`
 * of them, and only those behind `after`.
 *
 * @returns the sum of what `treat` tells
 */
export async function userByUser(
  list: (after: string | null, limit: number) => Promise<string[]>,
  treat: (userId: string) => Promise<number>,
  limit = USERS_PER_BATCH,
): Promise<number> {
  let total = 0;
  let after: string | null = null;
  for (;;) {
    const userIds = await list(after, limit);
    for (const userId of userIds) total += await treat(userId);
    if (userIds.length < limit) return total;
    after = userIds.at(-1)!;
  }
}
