import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Pool, type QueryResult } from 'pg';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { closePool } from './close-pool.js';

/** Of connecting, and of each statement; then the connection is given up. */
const PROBE_TIMEOUT_MS = 800;
/**
 * The server gives a statement up before that: it does not see that a connection whose statement waits for a lock was
 * closed, and with each look there would be one more of them.
 */
const STATEMENT_TIMEOUT_MS = 700;

/** Whoever looks. None of them waits for another one. */
type Watcher = 'health' | 'metrics';

/**
 * A connection for each who looks at the database, whatever becomes of the pool: a look takes no connection
 * from requests, and one that hangs is closed and missing to nobody.
 */
@Injectable()
export class DatabaseProbe implements OnApplicationShutdown {
  private readonly pools: Readonly<Record<Watcher, Pool>>;

  constructor(@InjectConfig() { database }: Config) {
    this.pools = {
      health: createPool(database.url, 'rind-health'),
      metrics: createPool(database.url, 'rind-metrics'),
    };
  }

  async run<Row>(watcher: Watcher, text: string): Promise<Row[]> {
    // In one message, and so in one transaction, also where a pooler shares the connection.
    const limited = `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}; ${text}`;
    // The types of `pg` do not know that several statements have several results.
    const results = (await this.pools[watcher].query(limited)) as unknown as QueryResult[];
    return results.at(-1)!.rows as Row[];
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(Object.values(this.pools).map(closePool));
  }
}

function createPool(connectionString: string, name: string): Pool {
  const pool = new Pool({
    // What requests use, a pooler where there is one.
    connectionString,
    max: 1,
    // A server that is full would refuse a new connection, though requests are served by those there are.
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
    keepAlive: true,
    application_name: name,
  });
  // An error that nobody hears ends the process; the next look tells of it.
  pool.on('error', () => undefined);
  pool.on('connect', (connection) => connection.on('error', () => undefined));
  return pool;
}
