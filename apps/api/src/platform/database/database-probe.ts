import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Pool } from 'pg';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { closePool } from './close-pool.js';

/** Of connecting, and of each statement; then the connection is given up. */
const PROBE_TIMEOUT_MS = 800;

/**
 * One connection for looking at the database, whatever becomes of the pool: who asks for a look takes no
 * connection from requests, and one that hangs is closed and missing to nobody.
 */
@Injectable()
export class DatabaseProbe implements OnApplicationShutdown {
  private readonly pool: Pool;

  constructor(@InjectConfig() { database }: Config) {
    this.pool = new Pool({
      // What requests use, a pooler where there is one.
      connectionString: database.url,
      max: 1,
      // A server that is full would refuse a new connection, though requests are served by those there are.
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: PROBE_TIMEOUT_MS,
      query_timeout: PROBE_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'rind-health',
    });
    // An error that nobody hears ends the process; the next look tells of it.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (connection) => connection.on('error', () => undefined));
  }

  async run<Row>(text: string): Promise<Row[]> {
    const { rows } = await this.pool.query(text);
    return rows as Row[];
  }

  async onApplicationShutdown(): Promise<void> {
    await closePool(this.pool);
  }
}
