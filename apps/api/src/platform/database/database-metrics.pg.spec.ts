import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { currentRequest, runInRequest } from '../logging/request-context.js';
import { Metrics } from '../metrics/metrics.js';
import { DatabaseMetrics } from './database-metrics.js';
import { SlowQueries } from './slow-queries.js';

describe('the metrics of a pool', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let metrics: Metrics;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(() => {
    const config = loadConfig({ DATABASE_URL: database.url, LOG_LEVEL: 'silent' });
    metrics = new Metrics(config);
    pool = new pg.Pool({
      connectionString: database.url,
      max: 1,
      pipeline: true,
      connectionTimeoutMillis: 5_000,
    });
    new DatabaseMetrics(metrics, new SlowQueries(config)).watch('main', pool);
  });
  afterEach(() => pool.end());

  async function valueOf(name: string): Promise<number | undefined> {
    const text = await metrics.write();
    const line = text.split('\n').find((each) => each.startsWith(`rind_database_${name} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  }

  const queries = () => valueOf('query_seconds_count{pool="main"}');
  const waits = () => valueOf('wait_seconds_count{pool="main"}');

  test('tell who has a connection, and who waits for one', async () => {
    const held = await pool.connect();
    const waiting = [pool.connect(), pool.query('SELECT 1')];
    expect(await valueOf('connections_limit{pool="main"}')).toBe(1);
    expect(await valueOf('connections{pool="main",state="busy"}')).toBe(1);
    expect(await valueOf('waiting{pool="main"}')).toBe(2);
    expect(await waits()).toBe(1);
    held.release();
    ((await waiting[0]) as pg.PoolClient).release();
    await waiting[1];
    expect(await valueOf('connections{pool="main",state="idle"}')).toBe(1);
    expect(await valueOf('waiting{pool="main"}')).toBe(0);
    expect(await waits()).toBe(3);
  });

  test('count whoever got no connection among those who waited', async () => {
    const away = new pg.Pool({ connectionString: 'postgres://127.0.0.1:1/no' });
    const config = loadConfig({ DATABASE_URL: database.url });
    metrics = new Metrics(config);
    new DatabaseMetrics(metrics, new SlowQueries(config)).watch('main', away);
    await expect(away.query('SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(away.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect([await waits(), await queries()]).toEqual([2, undefined]);
  });

  test('count statements of every kind, those that fail, too', async () => {
    await pool.query('SELECT 1');
    await pool.query({ name: 'named', text: 'SELECT $1::int', values: [1] });
    await new Promise<void>((resolve) => {
      pool.query('SELECT $1::int', [1], () => resolve());
    });
    expect(await queries()).toBe(3);
    await expect(pool.query('SELECT nonsense')).rejects.toMatchObject({ code: '42703' });
    const connection = await pool.connect();
    await connection.query('BEGIN');
    await expect(connection.query({ text: 'SELECT 1/0' })).rejects.toMatchObject({ code: '22012' });
    await connection.query('ROLLBACK');
    connection.release();
    expect(await queries()).toBe(7);
  });

  test('count a statement from the answer to the one before it', async () => {
    const connection = await pool.connect();
    await Promise.all([
      connection.query('SELECT pg_sleep(0.3)'),
      connection.query('SELECT 1'),
      connection.query('SELECT 2'),
    ]);
    connection.release();
    expect(await valueOf('query_seconds_bucket{le="0.25",pool="main"}')).toBe(2);
    expect(await queries()).toBe(3);
  });

  test('leave what runs behind a wait in the request that waited', async () => {
    const request = { requestId: 'r1' };
    const held = await pool.connect();
    const seen = new Promise((resolve) => {
      runInRequest(request, () =>
        pool.connect((_error, _connection, release) => {
          resolve(currentRequest());
          release();
        }),
      );
    });
    runInRequest({ requestId: 'r2' }, () => held.release());
    expect(await seen).toEqual(request);
  });
});
