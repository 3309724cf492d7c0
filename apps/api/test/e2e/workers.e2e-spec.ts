import { randomUUID } from 'node:crypto';
import type { Problem } from '@rind/contracts';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import { untilJobsDone } from '../support/jobs.js';
import { Outbox } from '../support/outbox.js';
import { ready } from '../support/ready.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../support/test-database.js';

const METRICS_TOKEN = 'the-token-of-this-test';

let database: TestDatabase;
let sql: pg.Pool;
let processes: ApiProcess[];

beforeEach(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 2 });
  processes = [];
});
afterEach(async () => {
  await Promise.all(processes.map((api) => api.stop()));
  await sql.end();
  await database.drop();
});

async function start(WORKER: string): Promise<ApiProcess> {
  const api = await ApiProcess.start({ ...databaseEnvironment(database), WORKER, METRICS_TOKEN });
  processes.push(api);
  return api;
}

async function register(api: ApiProcess): Promise<string> {
  const email = `${randomUUID()}@example.com`;
  const body = { email, password: 'correct horse battery', displayName: 'Ada' };
  expect((await api.request('POST', '/auth/register', { body })).status).toBe(201);
  return email;
}

const kindsTo = async (email: string) =>
  (await new Outbox(database.url).mailsTo(email)).map(({ kind }) => kind);

const waiting = async () => (await sql.query('SELECT FROM graphile_worker._private_jobs')).rowCount;

describe('WORKER', () => {
  test('inline: the process that answers does the jobs, too', async () => {
    const email = await register(await start('inline'));
    await untilJobsDone(sql);
    expect(await kindsTo(email)).toEqual(['verify_email']);
  });

  test('off leaves the jobs to a process with only, also when it is killed behind the commit', async () => {
    const api = await start('off');
    const email = await register(api);
    await api.kill();
    expect(await waiting()).toBe(1);
    const worker = await start('only');
    await untilJobsDone(sql);
    expect(await kindsTo(email)).toEqual(['verify_email']);
    expect(await worker.stop()).toBe(0);
  });

  test('only answers nothing but those who watch it', async () => {
    const worker = await start('only');
    const statusOf = async (method: string, path: string, token?: string) => {
      const { status } = await fetch(new URL(path, worker.url), {
        method,
        ...(token && { headers: { authorization: `Bearer ${token}` } }),
      });
      return status;
    };
    for (const path of ['/api/v1/health', '/api/v1/health/live']) {
      expect([path, await statusOf('GET', path)]).toEqual([path, 200]);
    }
    expect((await ready(worker)).status).toBe(200);
    expect(await statusOf('GET', '/metrics', METRICS_TOKEN)).toBe(200);
    expect(await statusOf('GET', '/metrics')).toBe(401);
    const others = ['/', '/docs', '/openapi.json', '/api/v1/openapi.json', '/api/v1/users/me'];
    for (const path of [
      ...others,
      '/api/v1/healthy',
      '/api/v1/socket.io',
      '/api/v1/auth/login',
      '/api/v1/sync/push',
    ]) {
      expect([path, await statusOf('GET', path)]).toEqual([path, 404]);
    }
    const body = { email: 'ada@example.com', password: 'correct horse battery' };
    const login = await worker.request<Problem>('POST', '/auth/login', { body });
    expect([login.status, login.body.code]).toEqual([404, 'not_found']);
    expect(await worker.stop()).toBe(0);
  });
});
