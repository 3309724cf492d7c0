import type { Pool } from 'pg';

/**
 * Resolves when every job has been done or has failed for now, those that jobs added included: which
 * of several processes does one is announced nowhere, so the table is asked until it is so.
 */
export async function untilJobsDone(sql: Pool): Promise<void> {
  const isDone = async () => {
    const { rows } = await sql.query(
      `SELECT FROM graphile_worker._private_jobs
       WHERE locked_at IS NOT NULL OR (attempts < max_attempts AND run_at <= now()) LIMIT 1`,
    );
    return rows.length === 0;
  };
  while (!(await isDone()));
}
