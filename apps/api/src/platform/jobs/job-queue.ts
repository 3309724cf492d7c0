import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';

/** The queue that all processes share, at one moment. */
export interface QueueState {
  readonly waiting: number;
  readonly running: number;
  readonly failed: number;
  /** For how long the oldest job that is due has waited; 0 where none is. */
  readonly oldestDueSeconds: number;
}

const MEASURE = {
  name: 'jobs_measure',
  text: `SELECT count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts) AS waiting,
  count(*) FILTER (WHERE locked_at IS NOT NULL) AS running,
  count(*) FILTER (WHERE locked_at IS NULL AND attempts >= max_attempts) AS failed,
  greatest(0, coalesce(extract(epoch FROM now() - min(run_at)
    FILTER (WHERE locked_at IS NULL AND attempts < max_attempts)), 0))::float8 AS "oldestDueSeconds"
FROM graphile_worker._private_jobs`,
};

/** Looks into the queue, for those who watch over it. */
@Injectable()
export class JobQueue {
  constructor(private readonly database: Database) {}

  async measure(): Promise<QueueState> {
    const [state] = await this.database.run<QueueState>(MEASURE, []);
    return state!;
  }
}
