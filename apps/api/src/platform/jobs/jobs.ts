import { Injectable } from '@nestjs/common';
import { type ParsedCronItem, parseCronItem } from 'graphile-worker';
import type { z } from 'zod';
import { Database } from '../database/database.js';

/**
 * A kind of deferred work. Payloads carry ids, never secrets: they stand in a table until they are
 * done. Whom a job is about stands under the key `userId`, so that it goes when its user does.
 */
export interface Job<Payload> {
  /** Stays the same across versions: jobs of the version before may still be waiting. */
  readonly name: string;
  readonly payload: z.ZodType<Payload>;
  /** What of the payload administrators may see; nothing where it is absent. */
  readonly visible?: ReadonlyArray<keyof Payload & string>;
  /** The payload must not stay where nobody needs it: a job that failed for good leaves no row, just a line in the log. */
  readonly leavesNoTrace?: boolean;
}

/** One that is done at certain times, and carries nothing. */
export type ScheduledJob = Job<Record<string, never>>;

/**
 * Is called at least once for each job, so doing it twice must do no harm. What it throws is tried
 * again later, unless it is a `JobFailure` that says otherwise.
 */
type Handler<Payload> = (payload: Payload) => Promise<void>;

/** A job of this version, whatever its payload. */
export interface HandledJob {
  readonly visible: readonly string[];
  readonly leavesNoTrace: boolean;
  /** @throws where the payload is not what the job's schema says, and what the handler throws */
  readonly run: (payload: unknown) => Promise<void>;
}

/** About two days of trying, the pauses growing from seconds to hours. */
const MAX_ATTEMPTS = 17;

/** About an hour: the next run is not far. */
const MAX_SCHEDULED_ATTEMPTS = 9;
/** A run that was due while no process did jobs is made up for within this time. */
const BACKFILL_MS = 24 * 3_600_000;

const ADD = {
  name: 'jobs_add',
  text: `SELECT 1 AS added FROM graphile_worker.add_job($1::text, $2::text::json, max_attempts => ${MAX_ATTEMPTS})`,
};

/** `complete_jobs` leaves alone what is being done. */
const REMOVE_OF = {
  name: 'jobs_remove_of',
  text: `SELECT 1 AS removed FROM graphile_worker.complete_jobs(ARRAY(
  SELECT id FROM graphile_worker._private_jobs WHERE payload->>'userId' = $1::text))`,
};

/** Deferred work, kept in PostgreSQL (graphile-worker): what there is to do, and how. */
@Injectable()
export class Jobs {
  private readonly jobs = new Map<string, HandledJob>();
  private readonly items: ParsedCronItem[] = [];

  constructor(private readonly database: Database) {}

  /** By name. */
  get handled(): ReadonlyMap<string, HandledJob> {
    return this.jobs;
  }

  get cronItems(): readonly ParsedCronItem[] {
    return this.items;
  }

  /** Must be called before the application has started. */
  handle<Payload>(
    { name, payload: schema, visible = [], leavesNoTrace = false }: Job<Payload>,
    handler: Handler<Payload>,
  ): void {
    const run = async (payload: unknown) => handler(schema.parse(payload));
    this.jobs.set(name, { visible, leavesNoTrace, run });
  }

  /**
   * Adds the job at certain times, written as a cron line in UTC: once, though several processes are
   * told so. One run waits for the other, and at most one does. Must be called before the application
   * has started.
   */
  schedule({ name }: ScheduledJob, cron: string): void {
    this.items.push(
      parseCronItem({
        task: name,
        match: cron,
        options: {
          backfillPeriod: BACKFILL_MS,
          jobKey: name,
          queueName: name,
          maxAttempts: MAX_SCHEDULED_ATTEMPTS,
        },
      }),
    );
  }

  /** In the current transaction where there is one: the job exists exactly when what caused it does. */
  async add<Payload>(job: Job<Payload>, payload: Payload): Promise<void> {
    await this.database.run(ADD, [job.name, JSON.stringify(job.payload.parse(payload))]);
  }

  /**
   * Removes what waits, or has failed, and is about a user. What is being done right now is not
   * stopped; it finds that the user is gone. Joins a current transaction.
   */
  async removeOf(userId: string): Promise<void> {
    await this.database.run(REMOVE_OF, [userId]);
  }
}
