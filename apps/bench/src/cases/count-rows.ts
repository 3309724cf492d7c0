import type pg from 'pg';
import type { Account } from '../accounts.ts';

/** Of all synced tables, to see that what was acknowledged is there. */
export async function countRows(admin: pg.Client, accounts: readonly Account[]): Promise<number> {
  const { rows } = await admin.query<{ count: string }>(
    `SELECT (SELECT count(*) FROM projects WHERE user_id = ANY ($1::uuid[]))
          + (SELECT count(*) FROM tasks WHERE user_id = ANY ($1::uuid[])) AS count`,
    [accounts.map(({ userId }) => userId)],
  );
  return Number(rows[0]!.count);
}
