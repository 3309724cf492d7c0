import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import type { ClientBase, Pool, PoolClient } from 'pg';
import type { Histogram } from 'prom-client';
import { runOutsideRequests } from '../logging/request-context.js';
import { Metrics } from '../metrics/metrics.js';
import { measureQueries } from './measured-queries.js';
import { SlowQueries } from './slow-queries.js';

/** The pools of this process: of requests, of large pulls, and of jobs. */
type PoolName = 'main' | 'snapshots' | 'jobs';

const WAIT_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** Around 50 ms, which 95 of 100 statements may take. */
const QUERY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];

/** What operators may want to know of connections and statements. */
@Injectable()
export class DatabaseMetrics {
  private readonly pools = new Map<PoolName, Pool>();
  private readonly waits: Histogram<'pool'>;
  private readonly queries: Histogram<'pool'>;

  constructor(
    metrics: Metrics,
    private readonly slowQueries: SlowQueries,
  ) {
    metrics.gauge({
      name: 'rind_database_connections',
      help: 'Connections that are open: those in use, and those that wait for work',
      labelNames: ['pool', 'state'],
      read: () =>
        [...this.pools].flatMap(([pool, { totalCount, idleCount }]) => [
          { labels: { pool, state: 'busy' }, value: totalCount - idleCount },
          { labels: { pool, state: 'idle' }, value: idleCount },
        ]),
    });
    metrics.gauge({
      name: 'rind_database_connections_limit',
      help: 'Connections that the pool may open',
      labelNames: ['pool'],
      read: () =>
        [...this.pools].map(([pool, { options }]) => ({ labels: { pool }, value: options.max })),
    });
    metrics.gauge({
      name: 'rind_database_waiting',
      help: 'Callers that wait for a connection',
      labelNames: ['pool'],
      read: () =>
        [...this.pools].map(([pool, { waitingCount }]) => ({
          labels: { pool },
          value: waitingCount,
        })),
    });
    this.waits = metrics.histogram({
      name: 'rind_database_wait_seconds',
      help: 'For how long callers waited for a connection, also those who got none',
      labelNames: ['pool'],
      buckets: WAIT_SECONDS,
    });
    this.queries = metrics.histogram({
      name: 'rind_database_query_seconds',
      help: 'From a statement, once those before it on its connection were answered, to its answer; without COPY',
      labelNames: ['pool'],
      buckets: QUERY_SECONDS,
    });
  }

  /** From its first connection on. */
  watch(name: PoolName, pool: Pool): void {
    this.pools.set(name, pool);
    this.measureWaits(name, pool);
    const queries = this.queries.labels({ pool: name });
    pool.on('connect', (connection) =>
      measureQueries(connection as ClientBase, (query, ms) => {
        queries.observe(ms / 1000);
        this.slowQueries.consider(query, ms);
      }),
    );
  }

  private measureWaits(name: PoolName, pool: Pool): void {
    const waits = this.waits.labels({ pool: name });
    const connect = pool.connect.bind(pool) as {
      (): Promise<PoolClient>;
      (callback: ConnectCallback): void;
    };
    const measured = (callback?: ConnectCallback) => {
      const startedAt = performance.now();
      const observe = () => waits.observe((performance.now() - startedAt) / 1000);
      if (callback) {
        // Else it would run as part of whatever request gave the connection back.
        const inContext = AsyncLocalStorage.bind(callback);
        return runOutsideRequests(() =>
          connect((...result) => {
            observe();
            inContext(...result);
          }),
        );
      }
      const connection = runOutsideRequests(() => connect());
      connection.then(observe, observe);
      return connection;
    };
    pool.connect = measured as Pool['connect'];
  }
}

type ConnectCallback = (
  error: Error | undefined,
  connection: PoolClient | undefined,
  release: (release?: unknown) => void,
) => void;
