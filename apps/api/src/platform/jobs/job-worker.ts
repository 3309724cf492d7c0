import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import {
  type JobHelpers,
  Logger as WorkerLogger,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
} from 'graphile-worker';
import { Pool } from 'pg';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { closePool } from '../database/close-pool.js';
import { causeOf, isDatabaseUnavailable } from '../database/database-errors.js';
import { DatabaseMetrics } from '../database/database-metrics.js';
import { JobFailure } from './job-failure.js';
import { JobMetrics } from './job-metrics.js';
import { type HandledJob, Jobs } from './jobs.js';
import { withoutSecrets } from '../logging/without-secrets.js';
import { WorkerPools } from './worker-pools.js';

/** How soon what goes wrong is noticed. */
@Injectable()
export class JobsTiming {
  /** New jobs are announced; this is for those whose time comes. */
  readonly pollIntervalMs: number = 5_000;
  /** How often a process says that it is alive. */
  readonly heartbeatMs: number = 15_000;
  /** Who says nothing for this long counts as dead, and others do its jobs. */
  readonly silenceMs: number = 60_000;
}

const CONCURRENCY = 2;
const RESTART_DELAY_MS = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Of the queue's own statements, which take milliseconds. */
const QUERY_TIMEOUT_MS = 5_000;

/** A runner, and the id that its jobs are locked under. */
interface RunningPool {
  readonly runner: Runner;
  readonly id: string;
}

/** Does jobs, together with the workers of other processes. */
@Injectable()
export class JobWorker implements OnApplicationBootstrap {
  private readonly logger = new Logger(JobWorker.name);
  private readonly isWanted: boolean;
  private readonly pool: Pool;
  private readonly pools: WorkerPools;
  private readonly closing = new AbortController();
  private running: Promise<void> | undefined;
  private current: RunningPool | undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    @InjectConfig() config: Config,
    private readonly jobs: Jobs,
    private readonly timing: JobsTiming,
    private readonly metrics: JobMetrics,
    databaseMetrics: DatabaseMetrics,
  ) {
    this.isWanted = config.worker !== 'off';
    this.pool = new Pool({
      // LISTEN needs a session of its own, which a pooler does not give.
      connectionString: config.database.directUrl,
      // One listens, and one is for heartbeats.
      max: CONCURRENCY + 2,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      // A connection may die without a word; at the end of the process somebody would wait for it.
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'rind-jobs',
    });
    databaseMetrics.watch('jobs', this.pool);
    // An error that nobody hears ends the process; the query that fails tells of it.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (connection) => connection.on('error', () => undefined));
    this.pools = new WorkerPools(this.pool, timing);
  }

  /** In the background: where it does not migrate at its start, the API listens without a database, too. */
  onApplicationBootstrap(): void {
    if (this.isWanted) this.running = this.keepRunning();
  }

  /**
   * Resolves when what is under way is finished; what waits is for another process, or for the next
   * start. Must be called before the application is closed: jobs need what is closed then.
   */
  stop(): Promise<void> {
    this.stopped ??= this.finish();
    return this.stopped;
  }

  /** For a process that ends before its jobs do: others need not wait until it counts as dead. */
  async giveBack(): Promise<void> {
    if (this.current) await this.pools.giveUp(this.current.id);
  }

  private async finish(): Promise<void> {
    this.closing.abort();
    await this.stopRunner();
    await this.running;
    await closePool(this.pool);
  }

  private async keepRunning(): Promise<void> {
    while (!this.closing.signal.aborted) {
      try {
        const { runner, id } = await this.start();
        this.current = { runner, id };
        if (this.closing.signal.aborted) await this.stopRunner();
        await this.beatWhileRunning({ runner, id });
      } catch (error) {
        // Of an outage the listening connection tells, once.
        if (isDatabaseUnavailable(error)) this.logger.verbose('No jobs without the database');
        else this.logger.warn({ err: error }, 'Jobs are not being done: starting again');
      }
      await delay(RESTART_DELAY_MS, undefined, { signal: this.closing.signal }).catch(
        () => undefined,
      );
    }
  }

  private async start(): Promise<RunningPool> {
    const events: WorkerEvents = new EventEmitter();
    let id = '';
    events.once('pool:create', ({ workerPool }) => {
      id = workerPool.id;
    });
    const runner = await run({
      pgPool: this.pool,
      taskList: this.tasks(),
      parsedCronItems: [...this.jobs.cronItems],
      concurrency: CONCURRENCY,
      pollInterval: this.timing.pollIntervalMs,
      // Only so does its end wait until what is done has been written down.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      // The process does (`stop-on-signals.ts`): jobs end before what they need is closed.
      noHandleSignals: true,
      events,
      logger: new WorkerLogger(() => (level, message, meta) => {
        // Told where it happens, in words that hold no secrets.
        if (meta?.['failure']) return;
        if (isDatabaseUnavailable(meta?.['error'])) this.logger.verbose(message);
        else if (level === 'error') this.logger.error(message);
        else if (level === 'warning') this.logger.warn(message);
      }),
    });
    return { runner, id };
  }

  private tasks(): TaskList {
    return Object.fromEntries(
      [...this.jobs.handled].map(([name, job]) => [
        name,
        (payload: unknown, helpers: JobHelpers) => this.attempt(name, job, payload, helpers),
      ]),
    );
  }

  private async attempt(
    name: string,
    { run: handle, leavesNoTrace }: HandledJob,
    payload: unknown,
    helpers: JobHelpers,
  ): Promise<void> {
    try {
      await handle(payload);
      this.metrics.countDone(name);
    } catch (thrown) {
      const isFinal = await this.planRetry(thrown, helpers);
      const error = withoutSecrets(thrown);
      this.metrics.countFailure(name, isFinal);
      const { id: jobId, attempts: attempt } = helpers.job;
      const line = { ...causeOf(error), job: name, jobId, attempt };
      if (isFinal) this.logger.error(line, 'A job has failed for good');
      else this.logger.warn(line, 'A job failed and will be tried again');
      // What ends without an error is done for the queue, and so its row goes.
      if (!(isFinal && leavesNoTrace)) throw error;
    }
  }

  /**
   * Whether the failed job will not be tried again. The queue's functions leave jobs alone that are
   * being done; what they would change is changed here, before the queue notes the failure and adds its
   * usual pause.
   */
  private async planRetry(thrown: unknown, { job, ...queue }: JobHelpers): Promise<boolean> {
    const retry = thrown instanceof JobFailure ? thrown.retry : 'later';
    if (retry === 'later') return job.attempts >= job.max_attempts;
    const isFinal = retry === 'never';
    const change = isFinal ? 'attempts = max_attempts' : 'run_at = greatest(run_at, $2)';
    await queue.query(
      `UPDATE graphile_worker._private_jobs SET ${change} WHERE id = $1`,
      isFinal ? [job.id] : [job.id, retry],
    );
    return isFinal || job.attempts >= job.max_attempts;
  }

  /** Also while it finishes its last jobs. */
  private async beatWhileRunning({ runner, id }: RunningPool): Promise<void> {
    const ended = new AbortController();
    const beating = this.pools.keepAlive(id, ended.signal).then(async (end) => {
      if (end === 'ended') return;
      this.logger.warn('Other processes took this one for dead: starting again');
      await this.stopRunner();
    });
    try {
      await runner.promise;
    } finally {
      ended.abort();
      await beating;
    }
  }

  private async stopRunner(): Promise<void> {
    // It throws where it has stopped already.
    await this.current?.runner.stop().catch(() => undefined);
  }
}
