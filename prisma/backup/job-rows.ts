import type pg from 'pg';
import type { BackupTable } from './format.ts';

/** For how long the mail provider knows which mails it has taken: see docs/mail.md. */
const SENT_ONCE_HOURS = 24;

/**
 * The jobs that wait, as a table of the file. The queue's own tables belong to its version; these are
 * the arguments of its public function `add_job`.
 */
export const jobsTable: BackupTable = {
  name: 'graphile_worker.jobs',
  columns: [
    { name: 'identifier', type: 'text' },
    { name: 'payload', type: 'json' },
    { name: 'queue_name', type: 'text' },
    { name: 'run_at', type: 'timestamp with time zone' },
    { name: 'max_attempts', type: 'integer' },
    { name: 'job_key', type: 'text' },
    { name: 'priority', type: 'integer' },
    { name: 'created_at', type: 'timestamp with time zone' },
  ],
};

/** Also those that are being done; not those that have failed for good, which would be tried again. */
export const JOBS = `
SELECT t.identifier, j.payload, q.queue_name, j.run_at, j.max_attempts, j.key, j.priority, j.created_at
FROM graphile_worker._private_jobs j
  JOIN graphile_worker._private_tasks t ON t.id = j.task_id
  LEFT JOIN graphile_worker._private_job_queues q ON q.id = j.job_queue_id
WHERE j.attempts < j.max_attempts OR j.locked_at IS NOT NULL
ORDER BY j.id`;

export async function hasJobQueue(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT WHERE to_regclass('graphile_worker._private_jobs') IS NOT NULL`,
  );
  return rowCount === 1;
}

/** Where the file's jobs wait until the database changes over. */
export const CREATE_LOADED_JOBS = `CREATE TABLE loaded_jobs (
  ${jobsTable.columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`;

/**
 * The queue as the backup knew it, in place of the one that is there. What was added more than a day
 * ago is left out: it was most likely done after the backup, and done again it would be mailed again.
 * Within a day the provider takes each mail once, whoever sends it again.
 */
export async function putBackJobs(
  client: pg.Client,
  loadedJobs: string,
): Promise<{ restored: number; leftOut: number }> {
  await client.query('DELETE FROM graphile_worker._private_jobs');
  const { rows } = await client.query<{ recent: boolean; jobs: number }>(
    `SELECT created_at > now() - make_interval(hours => ${SENT_ONCE_HOURS}) AS recent, count(*)::int AS jobs
     FROM ${loadedJobs} GROUP BY 1`,
  );
  await client.query(
    `CREATE TEMPORARY TABLE put_back ON COMMIT DROP AS
     SELECT (graphile_worker.add_job(identifier, payload, queue_name, run_at, max_attempts, job_key, priority)).id,
            created_at
     FROM ${loadedJobs} WHERE created_at > now() - make_interval(hours => ${SENT_ONCE_HOURS})`,
  );
  // A second restore must not take them for new.
  await client.query(
    `UPDATE graphile_worker._private_jobs j SET created_at = p.created_at FROM put_back p WHERE p.id = j.id`,
  );
  const count = (recent: boolean) => rows.find((row) => row.recent === recent)?.jobs ?? 0;
  return { restored: count(true), leftOut: count(false) };
}
