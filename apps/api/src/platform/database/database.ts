import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  Pool,
  type PoolClient,
  type PoolConfig,
  type QueryConfig,
  type QueryResult,
  types,
} from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { closePool } from './close-pool.js';
import { isDatabaseUnavailable, isRetryable, reasonOf } from './database-errors.js';
import { DatabaseMetrics } from './database-metrics.js';
import { PrismaClient, type Prisma } from './generated/client.js';
import {
  PipelinedTransaction,
  PrismaSqlTransaction,
  type SqlTransaction,
  type Statement,
} from './sql-transaction.js';

/** One state of the database, however many statements read it. */
export interface Snapshot {
  run<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
  /**
   * The bytes of a `COPY … TO STDOUT`, which takes no parameters: whoever builds the text answers
   * for what stands in it. Read it to its end, or abort it and let the snapshot fail.
   */
  copy(text: string, signal: AbortSignal): Readable;
}

/** `pg` knows it, its types don't. */
interface TimedQuery extends QueryConfig {
  readonly query_timeout: number;
}

/** The transaction that the running code is part of. */
interface CurrentTransaction {
  /** Null in a transaction of hand-written SQL: Prisma cannot join it. */
  readonly prisma: Prisma.TransactionClient | null;
  readonly sql: SqlTransaction;
  readonly afterCommit: Array<() => void>;
}

/** Retries of a transaction that PostgreSQL gave up to resolve a deadlock or a serialization failure. */
const MAX_ATTEMPTS = 4;
const RETRY_DELAY_MS = 20;

const CONNECT_TIMEOUT_MS = 5_000;
/** A connection that waits for a lock is one that nobody else can use. */
const LOCK_TIMEOUT_MS = 10_000;

const SNAPSHOT_TIMEOUT_MS = 120_000;

/** The server gives a statement up; one that does not even answer that, after this much more of the time, is not there. */
const SILENCE_FACTOR = 1.2;
/** So soon a connection that nothing is sent on is asked whether its other end is still there. */
const KEEP_ALIVE_DELAY_MS = 10_000;

/**
 * What this process has begun and no longer goes on with, since it cannot reach the server, must not
 * keep its locks there.
 */
const limits = (timeoutMs: number) => ({
  statement_timeout: timeoutMs,
  lock_timeout: LOCK_TIMEOUT_MS,
  idle_in_transaction_session_timeout: timeoutMs,
});

const settings = (set: 'SET' | 'SET LOCAL', values: Readonly<Record<string, number | string>>) =>
  Object.entries(values)
    .map(([name, value]) => `${set} ${name} = ${value}`)
    .join('; ');

/**
 * For each connection of the pool. A prepared statement is planned once for all values, not for each
 * execution, which would cost more than running most of them. A plan that is kept must not come from
 * a table's small beginnings, so that no table is read whole where an index serves.
 */
const sessionSettings = (timeoutMs: number): string =>
  settings('SET', {
    ...limits(timeoutMs),
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
  });

/** Behind a pooler in transaction mode, where a session's settings would reach other clients. */
const beginPooled = (timeoutMs: number): string =>
  `BEGIN; ${settings('SET LOCAL', limits(timeoutMs))}`;

/** Parallel workers would make one large read faster, and everybody else's small ones slower. */
const BEGIN_SNAPSHOT = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${settings('SET LOCAL', {
  ...limits(SNAPSHOT_TIMEOUT_MS),
  max_parallel_workers_per_gather: 0,
})}`;

/**
 * The one connection pool, for Prisma and for hand-written SQL. Repositories ask it for "the
 * current client", so that they work in and out of a transaction; services open transactions.
 */
@Injectable()
export class Database implements OnApplicationShutdown {
  private readonly logger = new Logger(Database.name);
  /**
   * Its connections are pipelined: statements are sent without waiting for the answers to earlier
   * ones, and run one after the other all the same.
   */
  private readonly pool: Pool;
  /** For `COPY`, which cannot share a pipelined connection. */
  private readonly snapshotPool: Pool;
  private readonly client: PrismaClient;
  private readonly preparedStatements: boolean;
  private readonly timeoutMs: number;
  /** For how long a server may leave a statement unanswered. */
  private readonly silenceMs: number;
  private readonly begin: string;
  private readonly current = new AsyncLocalStorage<CurrentTransaction>();

  /** Tools that do one thing and end are not measured. */
  constructor(@InjectConfig() { database }: Config, @Optional() metrics?: DatabaseMetrics) {
    const { url, poolSize, snapshotPoolSize, preparedStatements, timeoutMs } = database;
    this.preparedStatements = preparedStatements;
    this.timeoutMs = timeoutMs;
    this.silenceMs = timeoutMs * SILENCE_FACTOR;
    this.begin = preparedStatements ? 'BEGIN' : beginPooled(timeoutMs);
    this.pool = this.createPool(url, {
      max: poolSize,
      pipeline: true,
      query_timeout: this.silenceMs,
    });
    if (preparedStatements) {
      const session = sessionSettings(timeoutMs);
      this.pool.on('connect', (connection) => prepare(connection, session));
    }
    // Without a time-out of its own: it would strike a COPY that is read for longer.
    this.snapshotPool = this.createPool(url, { max: snapshotPoolSize });
    metrics?.watch('main', this.pool);
    metrics?.watch('snapshots', this.snapshotPool);
    this.client = new PrismaClient({
      adapter: new PrismaPg(
        this.pool,
        preparedStatements
          ? {
              statementNameGenerator: ({ sql }) =>
                `p_${createHash('sha1').update(sql).digest('hex')}`,
            }
          : {},
      ),
    });
  }

  /** Prisma, inside the current transaction where there is one. */
  get prisma(): Prisma.TransactionClient {
    const current = this.current.getStore();
    if (!current) return this.client;
    if (!current.prisma) throw new Error('Prisma cannot join a transaction of hand-written SQL');
    return current.prisma;
  }

  /** For libraries that bring statements of their own; named ones only where names are allowed. */
  query(query: QueryConfig): Promise<QueryResult> {
    const { name, ...unnamed } = query;
    return this.pool.query(name !== undefined && this.preparedStatements ? query : unnamed);
  }

  /** One block, committed when it returns and rolled back when it throws; joins a current one. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    if (this.current.getStore()) return work();
    return this.retrying((afterCommit) =>
      this.client.$transaction(
        async (prisma) => {
          const sql = new PrismaSqlTransaction(prisma);
          const result = await this.current.run({ prisma, sql, afterCommit }, work);
          await sql.settle();
          return result;
        },
        { maxWait: CONNECT_TIMEOUT_MS, timeout: this.timeoutMs },
      ),
    );
  }

  /**
   * Runs the callback once the outermost transaction has committed, at once where there is none,
   * and never after a rollback. For announcements, which must not come before what they announce; one
   * that fails is logged.
   */
  afterCommit(callback: () => void): void {
    const current = this.current.getStore();
    if (current) current.afterCommit.push(callback);
    else this.announce(callback);
  }

  /** One statement, in the current transaction where there is one. */
  async run<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    const current = this.current.getStore();
    if (current) return current.sql.run(statement, values);
    const { rows } = await this.pool.query(this.named(statement, values));
    return rows as Row[];
  }

  /**
   * A transaction of hand-written SQL on one connection, for where Prisma's own machinery costs
   * too much; joins a current one. READ COMMITTED: each statement sees what was committed before
   * it began.
   */
  async sqlTransaction<T>(work: (sql: SqlTransaction) => Promise<T>): Promise<T> {
    const current = this.current.getStore();
    if (current) return work(current.sql);
    return this.retrying((afterCommit) => this.attempt(work, afterCommit));
  }

  /**
   * Reads one state of the database on one connection. What fails or is aborted in there ends the
   * connection: behind a COPY that was not read to its end it is of no use to the next caller.
   */
  async snapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const connection = await this.snapshotPool.connect();
    let failure: Error | undefined;
    try {
      const query = (config: QueryConfig) => {
        const timed: TimedQuery = { ...config, query_timeout: this.silenceMs };
        return connection.query(timed);
      };
      await query({ text: BEGIN_SNAPSHOT });
      const result = await work({
        run: async <Row>(statement: Statement, values: readonly unknown[]) => {
          const { rows } = await query(this.named(statement, values));
          return rows as Row[];
        },
        copy: (text, signal) => copyOn(connection, text, { signal, silenceMs: this.silenceMs }),
      });
      await query({ text: 'COMMIT' });
      return result;
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      connection.release(failure);
    }
  }

  /** After the server has closed: requests under way still need it. */
  async onApplicationShutdown(): Promise<void> {
    await this.client.$disconnect();
    await Promise.all([closePool(this.pool), closePool(this.snapshotPool)]);
  }

  private createPool(connectionString: string, options: PoolConfig): Pool {
    const pool = new Pool({
      ...options,
      connectionString,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'rind-api',
      // Versions and counters are safe integers (protocol rule 3), so int8 becomes a number.
      types: {
        getTypeParser: (oid, format) =>
          oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format),
      },
    });
    // An idle connection that the server closes must not end the process.
    pool.on('error', (error) => {
      // Of an outage the listening connection tells, once.
      if (isDatabaseUnavailable(error)) this.logger.debug(`Lost while idle: ${reasonOf(error)}`);
      else this.logger.warn({ err: error }, 'An idle database connection was lost');
    });
    // While a connection is lent out the pool does not listen, and an unheard error ends the process.
    // Whoever uses it learns of the loss from the query that fails.
    pool.on('connect', (connection) => connection.on('error', () => undefined));
    return pool;
  }

  private async attempt<T>(
    work: (sql: SqlTransaction) => Promise<T>,
    afterCommit: Array<() => void>,
  ): Promise<T> {
    const connection = await this.pool.connect();
    const sql = new PipelinedTransaction(
      connection,
      (statement, values) => this.named(statement, values),
      this.begin,
    );
    let broken: Error | undefined;
    try {
      const result = await this.current.run({ prisma: null, sql, afterCommit }, () => work(sql));
      await sql.commit();
      return result;
    } catch (error) {
      await sql.rollback().catch((failure: Error) => {
        broken = failure;
      });
      throw error;
    } finally {
      // A connection that cannot even roll back is not given to the next caller.
      connection.release(broken);
    }
  }

  /** What has committed did happen: its caller is not told that it failed, and nothing is repeated. */
  private announce(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.logger.error({ err: error }, 'What was committed could not be announced');
    }
  }

  private named({ name, ...statement }: Statement, values: readonly unknown[]) {
    return this.preparedStatements
      ? { ...statement, name, values: [...values] }
      : { ...statement, values: [...values] };
  }

  private async retrying<T>(attempt: (afterCommit: Array<() => void>) => Promise<T>): Promise<T> {
    for (let count = 1; ; count += 1) {
      const afterCommit: Array<() => void> = [];
      try {
        const result = await attempt(afterCommit);
        for (const callback of afterCommit) this.announce(callback);
        return result;
      } catch (error) {
        if (count === MAX_ATTEMPTS || !isRetryable(error)) throw error;
        await delay(RETRY_DELAY_MS * count * (1 + Math.random()));
      }
    }
  }
}

/** Where it fails the connection is lost, and whoever uses it learns that. */
function prepare(connection: PoolClient, session: string): void {
  connection.query(session).catch(() => undefined);
}

function copyOn(
  connection: PoolClient,
  text: string,
  { signal, silenceMs }: { signal: AbortSignal; silenceMs: number },
): Readable {
  const copy = connection.query(copyTo(text));
  // The end of the connection is told to a stream that was aborted, too.
  copy.on('error', () => undefined);
  giveUpWhenSilent(copy, connection.connection.stream as Socket, silenceMs);
  return addAbortSignal(signal, copy);
}

/** Looks now and then whether anything came: rows come too fast for a timer that each of them sets anew. */
function giveUpWhenSilent(copy: Readable, stream: Socket, silenceMs: number): void {
  let seen = stream.bytesRead;
  const look = setInterval(() => {
    const isAwaited = copy.readableLength === 0;
    if (isAwaited && stream.bytesRead === seen) copy.destroy(new Error('Query read timeout'));
    seen = stream.bytesRead;
  }, silenceMs).unref();
  copy.once('close', () => clearInterval(look));
}
