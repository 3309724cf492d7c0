import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { Database } from '../database/database.js';
import { DatabaseProbe } from '../database/database-probe.js';
import { inBatches } from '../database/in-batches.js';
import { Jobs, type ScheduledJob } from './jobs.js';
import { hideSecrets } from '../logging/without-secrets.js';

type State = 'waiting' | 'running' | 'failed';
type Scalar = string | number | boolean | null;

/** The queue that all processes share, at one moment. */
export interface QueueState {
  readonly waiting: number;
  readonly running: number;
  readonly failed: number;
  /** For how long the oldest job that is due has waited; 0 where none is. */
  readonly oldestDueSeconds: number;
}

/** A job as administrators may see it. */
export interface QueueEntry {
  readonly id: string;
  readonly name: string;
  readonly state: State;
  readonly payload: Readonly<Record<string, Scalar>>;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly createdAt: Date;
  readonly runAt: Date;
  readonly lastError: string | null;
}

type Row = Omit<QueueEntry, 'payload'> & { readonly payload: unknown };

interface Page {
  readonly state: State | null;
  /** Entries before it, as newer ones come first; null for the first page. */
  readonly beforeId: string | null;
  readonly limit: number;
}

const MEASURE = `SELECT
  count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts)::int4 AS waiting,
  count(*) FILTER (WHERE locked_at IS NOT NULL)::int4 AS running,
  count(*) FILTER (WHERE locked_at IS NULL AND attempts >= max_attempts)::int4 AS failed,
  greatest(0, coalesce(extract(epoch FROM now() - min(run_at)
    FILTER (WHERE locked_at IS NULL AND attempts < max_attempts)), 0))::float8 AS "oldestDueSeconds"
FROM graphile_worker._private_jobs`;

const ENTRIES = `SELECT * FROM (
  SELECT j.id AS number, j.id::text AS id, t.identifier AS name, j.payload, j.attempts::int4 AS attempts,
    CASE WHEN j.locked_at IS NOT NULL THEN 'running'
         WHEN j.attempts >= j.max_attempts THEN 'failed' ELSE 'waiting' END AS state,
    j.max_attempts::int4 AS "maxAttempts", j.created_at AS "createdAt", j.run_at AS "runAt",
    j.last_error AS "lastError"
  FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
) AS entries`;

const LIST = {
  name: 'jobs_list',
  text: `${ENTRIES} WHERE ($1::text IS NULL OR state = $1) AND ($2::int8 IS NULL OR number < $2)
ORDER BY number DESC LIMIT $3`,
};

const FIND = { name: 'jobs_find', text: `${ENTRIES} WHERE number = $1::int8` };

/** Holds the row, too, so that of two at once the second sees what the first has done. */
const LOCK = {
  name: 'jobs_lock',
  text: 'SELECT 1 AS locked FROM graphile_worker._private_jobs WHERE id = $1::int8 FOR UPDATE',
};

const RETRY = {
  name: 'jobs_retry',
  text: `SELECT 1 AS rescheduled
FROM graphile_worker.reschedule_jobs(ARRAY[$1::int8], run_at => now(), attempts => 0)`,
};

/** Also at once what must not stay: a process that is killed in a last attempt cannot delete it. */
const DELETE_FAILED = {
  name: 'jobs_delete_failed',
  text: `SELECT 1 AS deleted FROM graphile_worker.complete_jobs(ARRAY(
  SELECT j.id FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
  WHERE j.locked_at IS NULL AND j.attempts >= j.max_attempts
    AND (j.run_at < now() - interval '30 days' OR t.identifier = ANY($2::text[]))
  ORDER BY j.id LIMIT $1))`,
};

const purgeJob: ScheduledJob = { name: 'purge_jobs', payload: z.object({}) };

/** Looks into the queue, for those who watch over it. */
@Injectable()
export class JobQueue {
  private readonly logger = new Logger(JobQueue.name);

  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    private readonly probe: DatabaseProbe,
  ) {
    jobs.handle(purgeJob, () => this.purge());
    jobs.schedule(purgeJob, '30 3 * * *');
  }

  /** Takes no connection from requests, which go on while the queue's table is locked. */
  async measure(): Promise<QueueState> {
    const [state] = await this.probe.run<QueueState>('metrics', MEASURE);
    return state!;
  }

  /** Newest first. */
  async list({ state, beforeId, limit }: Page): Promise<QueueEntry[]> {
    const rows = await this.database.run<Row>(LIST, [state, beforeId, limit]);
    return rows.map((row) => this.toEntry(row));
  }

  /** As after the current transaction has changed it. Null when it is unknown or done. */
  async lock(id: string): Promise<QueueEntry | null> {
    await this.database.run(LOCK, [id]);
    const [row] = await this.database.run<Row>(FIND, [id]);
    return row ? this.toEntry(row) : null;
  }

  /** All attempts from the start, the first one now. Leaves alone what is being done. */
  async retry(id: string): Promise<void> {
    await this.database.run(RETRY, [id]);
  }

  private async purge(): Promise<void> {
    const traceless = [...this.jobs.handled]
      .filter(([, { leavesNoTrace }]) => leavesNoTrace)
      .map(([name]) => name);
    const failed = await inBatches(
      async (limit) => (await this.database.run(DELETE_FAILED, [limit, traceless])).length,
    );
    this.logger.log({ failed }, 'Jobs that failed long ago were deleted');
  }

  private toEntry({ payload, lastError, ...row }: Row): QueueEntry {
    return {
      ...row,
      payload: pickVisible(payload, this.jobs.handled.get(row.name)?.visible ?? []),
      // An earlier version may have written it.
      lastError: lastError && hideSecrets(lastError),
    };
  }
}

/** Rows may be of any version, so nothing is taken for granted. */
function pickVisible(payload: unknown, names: readonly string[]): Record<string, Scalar> {
  if (typeof payload !== 'object' || payload === null) return {};
  return Object.fromEntries(
    Object.entries(payload).filter(
      (entry): entry is [string, Scalar] =>
        names.includes(entry[0]) && (entry[1] === null || typeof entry[1] !== 'object'),
    ),
  );
}
