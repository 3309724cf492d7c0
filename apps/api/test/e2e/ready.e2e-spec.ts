import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { HealthReady } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { HealthRepository } from '../../src/health/health.repository.js';
import { HealthService } from '../../src/health/health.service.js';
import { Notices } from '../../src/platform/database/notices.js';
import { RestoredBackups } from '../../src/sync/restored-backups.js';
import { ApiProcess } from '../support/api-process.js';
import { ready, readyWhen } from '../support/ready.js';
import { untilBlocked } from '../support/seams.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

let database: TestDatabase;
let rind: TestApp;

beforeAll(async () => {
  database = await createTestDatabase();
  rind = await TestApp.start({ database, env: { WORKER: 'off' } });
});
afterEach(() => void jest.restoreAllMocks());
afterAll(async () => {
  await rind.stop();
  await database.drop();
});

const isOk = ({ body }: { body: HealthReady }) => body.status === 'ok';

describe('GET /health/ready', () => {
  test('tells of each thing that requests need', async () => {
    expect(await ready(rind)).toMatchObject({
      status: 200,
      body: {
        status: 'ok',
        checks: {
          database: { status: 'ok', latencyMs: expect.any(Number) },
          migrations: { status: 'ok' },
          jobs: { status: 'ok' },
          sync: { status: 'ok' },
          draining: { status: 'ok' },
          proxy: { status: 'ok' },
        },
      },
    });
  });

  test('answers while the database takes connections and says nothing, and soon after that is over', async () => {
    const proxy = await TcpProxy.start(database.url);
    const behind = await TestApp.start({
      database,
      env: { DATABASE_URL: proxy.url, WORKER: 'off' },
    });
    await readyWhen(behind, isOk);
    proxy.freeze();
    // What hangs is given up, and what follows it hangs, too.
    for (let asked = 0; asked < 4; asked += 1) {
      const { body } = await readyWhen(behind, ({ status }) => status === 503);
      expect(body).toMatchObject({ status: 'unavailable', checks: { draining: { status: 'ok' } } });
      expect(body.checks['database']).toEqual({ status: 'unavailable' });
      expect(JSON.stringify(body)).not.toMatch(/postgres|127\.0\.0\.1|timeout|rind-/i);
    }
    proxy.pass();
    await readyWhen(behind, isOk);
    // Its connections of before say nothing for ever.
    await proxy.close();
    await behind.stop();
  });

  test('does not wait for connections that requests hold', async () => {
    const account = await rind.signUp();
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('LOCK users');
    const requests = Array.from({ length: 15 }, (_, n) =>
      rind.request('PATCH', '/users/me', {
        token: account.accessToken,
        body: { displayName: `${n}` },
      }),
    );
    // As many as the pool has.
    await untilBlocked(rind.sql, ...requests.slice(0, 10));
    expect((await ready(rind)).status).toBe(200);
    await admin.query('ROLLBACK');
    admin.release();
    for (const { status } of await Promise.all(requests)) expect(status).toBe(200);
  });

  test('is degraded, and serves on, while nobody may look at the queue', async () => {
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('LOCK graphile_worker._private_jobs');
    const { status, body } = await readyWhen(
      rind,
      ({ body: { checks } }) => checks['jobs']?.status === 'degraded',
    );
    expect([status, body.status, body.checks['database']!.status]).toEqual([200, 'degraded', 'ok']);
    expect(body.checks['jobs']).toEqual({
      status: 'degraded',
      detail: 'Jobs cannot be looked at',
    });
    // What was given up does not wait on at the server, where it would use up all connections.
    const look = jest.spyOn(HealthRepository.prototype, 'readJobs');
    await readyWhen(rind, () => look.mock.calls.length > 3);
    const { rows } = await rind.sql.query<{ looks: number }>(
      `SELECT count(*)::int AS looks FROM pg_stat_activity
       WHERE application_name = 'rind-health' AND datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect(rows[0]!.looks).toBeLessThanOrEqual(1);
    await admin.query('ROLLBACK');
    admin.release();
    await readyWhen(rind, isOk);
  });

  test('is degraded while the connection that listens is away, and refuses what needs it', async () => {
    const proxy = await TcpProxy.start(database.url);
    const env = { DATABASE_DIRECT_URL: proxy.url, WORKER: 'off' };
    const behind = await TestApp.start({ database, env });
    const { accessToken: token } = await rind.signUp();
    const pull = async () => (await behind.request('GET', '/sync/pull', { token })).status;
    expect(await pull()).toBe(200);
    const notices = behind.app.get(Notices);
    const lost = once(notices, 'gap');
    proxy.refuse();
    await behind.sql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'rind-notices' AND datname = current_database()`,
    );
    await lost;
    expect(await ready(behind)).toMatchObject({ body: { status: 'ok' } });
    const now = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => now() + 6_000);
    const { status, body } = await readyWhen(
      behind,
      ({ body: { checks } }) => checks['sync']?.status === 'degraded',
    );
    expect([status, body.status, body.checks['database']!.status]).toEqual([200, 'degraded', 'ok']);
    expect(body.checks['sync']).toEqual({
      status: 'degraded',
      detail: 'Nothing is synced until the database has been looked at',
    });
    // Without a timer, since it is known to take long.
    const refusal = behind.app.get(RestoredBackups).settled();
    const outcome = Promise.race([refusal.catch(() => 'refused'), setImmediate('waits')]);
    expect(await outcome).toBe('refused');
    expect(await pull()).toBe(503);
    const live = once(notices, 'live');
    proxy.pass();
    await live;
    expect([await pull(), (await readyWhen(behind, isOk)).body.checks['sync']]).toEqual([
      200,
      { status: 'ok' },
    ]);
    await behind.stop();
    await proxy.close();
  });

  test('looks once for all who ask at the same time', async () => {
    const look = jest.spyOn(HealthRepository.prototype, 'readMigrations');
    const before = look.mock.calls.length;
    const service = rind.app.get(HealthService);
    await readyWhen(rind, () => look.mock.calls.length > before);
    look.mockClear();
    await Promise.all(Array.from({ length: 500 }, () => service.ready()));
    expect(look.mock.calls.length).toBeLessThanOrEqual(1);
  });

  test('is degraded, and serves on, while jobs that are due are not being done', async () => {
    const add = (runAt: string) =>
      rind.sql.query(
        `SELECT FROM graphile_worker.add_job('purge_jobs', run_at => now() + $1::interval)`,
        [runAt],
      );
    await add('1 day');
    await add('-9 minutes');
    await add('-11 minutes');
    const { status, body } = await readyWhen(
      rind,
      ({ body: { checks } }) => checks['jobs']?.status === 'degraded',
    );
    expect([status, body.status]).toEqual([200, 'degraded']);
    expect(body.checks['jobs']).toEqual({
      status: 'degraded',
      detail: 'Jobs that are due are not being done',
    });
    // Neither what is being done nor what has failed for good waits for anybody.
    await rind.sql.query(
      `UPDATE graphile_worker._private_jobs SET locked_at = now() WHERE run_at < now() - interval '10 minutes'`,
    );
    await readyWhen(rind, isOk);
    await rind.sql.query(
      'UPDATE graphile_worker._private_jobs SET locked_at = NULL, attempts = max_attempts',
    );
    expect(await readyWhen(rind, isOk)).toMatchObject({ status: 200 });
    await rind.sql.query('DELETE FROM graphile_worker._private_jobs');
  });

  test.each([
    ['one is missing', 'UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = $1', /^1 /],
    ['none was ever applied', 'ALTER TABLE _prisma_migrations RENAME TO moved', /^\d{2,} /],
  ])('is unavailable while migrations are pending: %s', async (_, statement, count) => {
    const { rows } = await rind.sql.query<{ id: string }>('SELECT id FROM _prisma_migrations');
    await rind.sql.query(statement, statement.includes('$1') ? [rows[0]!.id] : []);
    const { status, body } = await readyWhen(
      rind,
      ({ body: { checks } }) => checks['migrations']?.status === 'unavailable',
    );
    expect([status, body.status, body.checks['database']?.status]).toEqual([
      503,
      'unavailable',
      'ok',
    ]);
    expect(body.checks['migrations']).toEqual({
      status: 'unavailable',
      detail: expect.stringMatching(count),
    });
    await rind.sql.query('ALTER TABLE IF EXISTS moved RENAME TO _prisma_migrations');
    await rind.sql.query('UPDATE _prisma_migrations SET rolled_back_at = NULL');
    await readyWhen(rind, isOk);
  });

  test('is 503 from SIGTERM on, while requests are still taken', async () => {
    const api = await ApiProcess.start({
      DATABASE_URL: database.url,
      LOG_LEVEL: 'error',
      SHUTDOWN_DELAY_SECONDS: '5',
    });
    const stopped = api.stop();
    const ask = () => api.request<HealthReady>('GET', '/health/ready');
    let answer = await ask();
    while (answer.status === 200) answer = await ask();
    expect(answer).toMatchObject({
      status: 503,
      body: {
        status: 'unavailable',
        checks: { database: { status: 'ok' }, draining: { status: 'unavailable' } },
      },
    });
    expect((await api.request('GET', '/users/me')).status).toBe(401);
    expect(await stopped).toBe(0);
  });
});
