import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { closePool } from './close-pool.js';

describe('closing a pool', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let pool: pg.Pool;

  beforeEach(async () => {
    database = await createTestDatabase();
    proxy = await TcpProxy.start(database.url);
    pool = new pg.Pool({ connectionString: proxy.url });
    pool.on('error', () => undefined);
  });
  afterEach(async () => {
    await proxy.close();
    await database.drop();
  });

  test('closes what is idle, and lets what is under way end', async () => {
    const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
    first.release();
    const underWay = second.query('SELECT 2 AS two').finally(() => second.release());
    await closePool(pool);
    expect((await underWay).rows).toEqual([{ two: 2 }]);
    expect(pool.totalCount).toBe(0);
  });

  test('does not wait for an answer that does not come', async () => {
    const connection = await pool.connect();
    connection.on('error', () => undefined);
    proxy.freeze();
    const lost = connection.query('SELECT 1').catch(() => 'lost');
    await closePool(pool);
    expect(pool.ended).toBe(false);
    connection.release(true);
    expect(await lost).toBe('lost');
  });
});
