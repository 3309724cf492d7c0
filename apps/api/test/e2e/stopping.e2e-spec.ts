import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { AuthResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import { untilBlocked } from '../support/seams.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('SIGTERM', () => {
  let database: TestDatabase;
  let sql: pg.Pool;
  const processes: ApiProcess[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Pool({ connectionString: database.url, max: 3 });
  });
  afterEach(() => Promise.all(processes.splice(0).map((api) => api.stop())));
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  async function start(env: Record<string, string>): Promise<ApiProcess> {
    const api = await ApiProcess.start({ DATABASE_URL: database.url, LOG_LEVEL: 'warn', ...env });
    processes.push(api);
    return api;
  }

  async function register(api: ApiProcess) {
    const body = {
      email: `${randomUUID()}@example.com`,
      password: 'correct horse battery',
      displayName: 'N',
    };
    const answer = await api.request<AuthResult & { accessToken: string }>(
      'POST',
      '/auth/register',
      { body },
    );
    return { id: answer.body.user.id, token: answer.body.accessToken };
  }

  const push = (api: ApiProcess, token: string) =>
    api.request('POST', '/sync/push', {
      token,
      body: { changes: { projects: { created: [{ id: 'p', name: 'n' }] } }, lastPulledAt: null },
    });

  /** Makes whatever needs these rows or tables wait. */
  async function hold(
    ...statement: [text: string, values?: unknown[]]
  ): Promise<() => Promise<void>> {
    const holder = await sql.connect();
    await holder.query('BEGIN');
    await holder.query(...statement);
    return async () => {
      await holder.query('COMMIT');
      holder.release();
    };
  }

  const holdClockOf = (userId: string) =>
    hold('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [userId]);

  test('lets a request end, takes no new ones, and exits with 0', async () => {
    const api = await start({});
    const { id, token } = await register(api);
    const release = await holdClockOf(id);
    const pushed = push(api, token);
    await untilBlocked(sql, pushed);
    const stopped = api.stop();
    await api.untilRefusing();
    await release();
    expect((await pushed).status).toBe(200);
    expect(await stopped).toBe(0);
    expect(api.output).toBe('');
  });

  test('answers what comes on a connection that was made before', async () => {
    const api = await start({});
    const { hostname, port } = new URL(api.url);
    const early = connect(Number(port), hostname);
    await once(early, 'connect');
    // The API takes connections in their order.
    await api.request('GET', '/health/live');
    const stopped = api.stop();
    await api.untilRefusing();
    early.write('GET /api/v1/health/live HTTP/1.1\r\nHost: rind\r\n\r\n');
    expect(await text(early)).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*"status":"ok"/);
    expect(await stopped).toBe(0);
  });

  test('answers requests for SHUTDOWN_DELAY_SECONDS as ever, and asks for new connections', async () => {
    const api = await start({ SHUTDOWN_DELAY_SECONDS: '2' });
    const { token } = await register(api);
    const stopped = api.stop();
    const answers: Array<[status: number, connection: string | null]> = [];
    const pull = async () => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`${api.url}/sync/pull`, { headers });
      await answer.arrayBuffer();
      answers.push([answer.status, answer.headers.get('connection')]);
    };
    // The signal takes its time.
    while (answers.at(-1)?.[1] !== 'close') await pull();
    await pull();
    expect(answers.at(-1)).toEqual([200, 'close']);
    expect(new Set(answers.map(([status]) => status))).toEqual(new Set([200]));
    expect(await stopped).toBe(0);
    expect(api.output).toBe('');
  });

  test('waits for a client that says nothing no longer than SHUTDOWN_GRACE_SECONDS', async () => {
    const api = await start({ SHUTDOWN_GRACE_SECONDS: '1' });
    const { hostname, port } = new URL(api.url);
    const silent = connect(Number(port), hostname);
    await once(silent, 'connect');
    silent.resume();
    const head = ['Host: rind', 'Content-Type: application/json', 'Content-Length: 9'];
    silent.write(['POST /api/v1/auth/login HTTP/1.1', ...head, '', ''].join('\r\n'));
    // The answer to a later request on another connection: the API has met the first one by then.
    await api.request('GET', '/health/live');
    const cutOff = once(silent, 'close');
    expect(await api.stop()).toBe(0);
    await cutOff;
    expect(api.output).toContain('SHUTDOWN_GRACE_SECONDS are over');
  });

  test('waits for a request that does not end hardly longer than that, and exits with 1', async () => {
    const api = await start({ SHUTDOWN_GRACE_SECONDS: '1' });
    const { id, token } = await register(api);
    const release = await holdClockOf(id);
    const pushed = push(api, token).then(
      () => 'answered',
      () => 'cut off',
    );
    await untilBlocked(sql, pushed);
    expect(await api.stop()).toBe(1);
    expect(await pushed).toBe('cut off');
    await release();
    expect(api.output).toContain('Something does not end');
  });

  test('gives a job back that does not end, at once, and exits with 1', async () => {
    const api = await start({ WORKER: 'off' });
    await sql.query('DELETE FROM graphile_worker._private_jobs');
    await register(api);
    const release = await hold('LOCK TABLE mail_tokens');
    const worker = await start({ WORKER: 'only', SHUTDOWN_GRACE_SECONDS: '1' });
    const { promise: never } = Promise.withResolvers<void>();
    await untilBlocked(sql, never);
    expect(await worker.stop()).toBe(1);
    // Said by the process, and done by PostgreSQL, which may take its time.
    const isGivenBack = async () => {
      const { rowCount } = await sql.query(
        `SELECT FROM graphile_worker._private_jobs
         WHERE locked_by IS NULL AND attempts = 1 AND NOT EXISTS (SELECT FROM worker_pools)`,
      );
      return rowCount === 1;
    };
    while (!(await isGivenBack()));
    await release();
  });
});
