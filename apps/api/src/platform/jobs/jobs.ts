import { setTimeout as delay } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import {
  type JobHelpers,
  Logger as WorkerLogger,
  type ParsedCronItem,
  parseCronItem,
  type Runner,
  run,
  type TaskList,
} from 'graphile-worker';
import { Pool } from 'pg';
import type { z } from 'zod';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { Database } from '../database/database.js';
import { JobFailure } from './job-failure.js';

/** A kind of deferred work. Payloads carry ids, never secrets: they stand in a table until they are done. */
export interface Job<Payload> {
  /** Stays the same across versions: jobs of the version before may still be waiting. */
  readonly name: string;
  readonly payload: z.ZodType<Payload>;
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

const CONCURRENCY = 2;
/** New jobs are announced; this is for those whose time comes. */
const POLL_INTERVAL_MS = 5_000;
const RESTART_DELAY_MS = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Of the queue's own statements, which take milliseconds. */
const QUERY_TIMEOUT_MS = 5_000;

/** About two days of trying, the pauses growing from seconds to hours. */
const MAX_ATTEMPTS = 15;

/** About an hour: the next run is not far. */
const MAX_SCHEDULED_ATTEMPTS = 8;
/** A run that was due while no process did jobs is made up for within this time. */
const BACKFILL_MS = 24 * 3_600_000;

const ADD = {
  name: 'jobs_add',
  text: `SELECT 1 AS added FROM graphile_worker.add_job($1::text, $2::text::json, max_attempts => ${MAX_ATTEMPTS})`,
};

/** Deferred work, kept in PostgreSQL and done by whichever process is free (graphile-worker). */
@Injectable()
export class Jobs implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Jobs.name);
  private readonly tasks: TaskList = {};
  private readonly cronItems: ParsedCronItem[] = [];
  private readonly pool: Pool;
  private readonly closing = new AbortController();
  private running: Promise<void> | undefined;
  private runner: Runner | undefined;

  constructor(
    @InjectConfig() config: Config,
    private readonly database: Database,
  ) {
    this.pool = new Pool({
      // LISTEN needs a session of its own, which a pooler does not give.
      connectionString: config.database.directUrl,
      // One listens.
      max: CONCURRENCY + 1,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      // A connection may die without a word; at the end of the process somebody would wait for it.
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'rind-jobs',
    });
    // An error that nobody hears ends the process; the query that fails tells of it.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (connection) => connection.on('error', () => undefined));
  }

  /** Must be called before the application has started. */
  handle<Payload>(job: Job<Payload>, handler: Handler<Payload>): void {
    this.tasks[job.name] = async (payload, helpers) => {
      try {
        await handler(job.payload.parse(payload));
      } catch (error) {
        const isFinal = await this.planRetry(error, helpers);
        if (!isFinal || !job.leavesNoTrace) throw error;
        // For the queue it is done, and so its row goes.
        this.logger.error({ err: error, job: job.name }, 'Job failed for good');
      }
    };
  }

  /**
   * Adds the job at certain times, written as a cron line in UTC: once, though several processes are
   * told so. One run waits for the other, and at most one does. Must be called before the application
   * has started.
   */
  schedule({ name }: ScheduledJob, cron: string): void {
    this.cronItems.push(
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

  /** In the background: the API listens, and says that it is not ready, while there is no database. */
  onApplicationBootstrap(): void {
    this.running = this.keepRunning();
  }

  /** Finishes what is under way; what waits is for another process, or for the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await this.stopRunner();
    await this.running;
    await this.pool.end();
  }

  private async keepRunning(): Promise<void> {
    while (!this.closing.signal.aborted) {
      try {
        this.runner = await this.start();
        if (this.closing.signal.aborted) await this.stopRunner();
        await this.runner.promise;
      } catch (error) {
        this.logger.warn({ err: error }, 'Jobs are not being done: starting again');
      }
      await delay(RESTART_DELAY_MS, undefined, { signal: this.closing.signal }).catch(
        () => undefined,
      );
    }
  }

  private start(): Promise<Runner> {
    return run({
      pgPool: this.pool,
      taskList: this.tasks,
      parsedCronItems: this.cronItems,
      concurrency: CONCURRENCY,
      pollInterval: POLL_INTERVAL_MS,
      // Only so does its end wait until what is done has been written down.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      // Nest handles them.
      noHandleSignals: true,
      logger: new WorkerLogger(() => (level, message) => {
        if (level === 'error') this.logger.error(message);
        else if (level === 'warning') this.logger.warn(message);
      }),
    });
  }

  /**
   * Whether the failed job will not be tried again. The queue's functions leave jobs alone that are
   * being done; what they would change is changed here, before the queue notes the failure and adds its
   * usual pause.
   */
  private async planRetry(error: unknown, { job, ...queue }: JobHelpers): Promise<boolean> {
    const retry = error instanceof JobFailure ? error.retry : 'later';
    if (retry === 'later') return job.attempts >= job.max_attempts;
    const isFinal = retry === 'never';
    const change = isFinal ? 'attempts = max_attempts' : 'run_at = greatest(run_at, $2)';
    await queue.query(
      `UPDATE graphile_worker._private_jobs SET ${change} WHERE id = $1`,
      isFinal ? [job.id] : [job.id, retry],
    );
    return isFinal || job.attempts >= job.max_attempts;
  }

  private async stopRunner(): Promise<void> {
    // It throws where it has stopped already.
    await this.runner?.stop().catch(() => undefined);
  }
}
