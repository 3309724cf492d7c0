import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AuthResult } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { ApiProcess } from '../support/api-process.js';
import { untilJobsDone } from '../support/jobs.js';
import type { LogLine } from '../support/log-recorder.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { RestartableServer } from '../support/restartable-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

describe('the log of a process', () => {
  let server: RestartableServer;
  let wire: TcpProxy;
  let api: ApiProcess;

  beforeAll(async () => {
    server = await RestartableServer.start();
    await deployMigrations({ databaseUrl: server.url });
    wire = await TcpProxy.start(server.url);
    api = await ApiProcess.start({
      NODE_ENV: 'test',
      LOG_LEVEL: 'info',
      DATABASE_URL: wire.url,
      IMAGE_COMMIT: '0123456789',
    });
  }, 60_000);
  afterAll(async () => {
    await api.stop();
    await wire.close();
    await server.stop();
  });

  const lines = () =>
    api.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  const texts = () => lines().map(({ msg }) => msg);

  async function until(text: string): Promise<LogLine> {
    for (;;) {
      const found = lines().find(({ msg }) => msg === text);
      if (found) return found;
      await delay(10);
    }
  }

  test('begins with what runs, and where', async () => {
    expect(await until('Listening')).toMatchObject({
      level: 'info',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      commit: '0123456',
      environment: 'test',
      worker: 'inline',
      port: Number(new URL(api.url).port),
      node: process.version,
    });
  });

  test('tells of an outage of the database once, with no stack, and of its end', async () => {
    const body = {
      email: `${randomUUID()}@example.com`,
      password: 'correct horse',
      displayName: 'N',
    };
    const sql = new pg.Pool({ connectionString: server.url });
    const { body: account } = await api.request<AuthResult>('POST', '/auth/register', { body });
    const client = await RealtimeClient.connect(new URL(api.url).origin, account.accessToken);
    await untilJobsDone(sql);
    await sql.end();
    const before = lines().length;
    await server.goAway();
    wire.refuse();
    const away = await until('The database is away: trying again');
    expect(away).toMatchObject({ level: 'warn', reason: expect.stringMatching(/./) });
    const refused = await api.request('POST', '/auth/login', { body });
    expect(refused.status).toBe(503);
    // Time for whoever tries again, which is up to four times a second.
    await Promise.all([1, 2, 3].map(() => api.request('GET', '/health/ready')));
    await server.comeBack();
    wire.retarget(server.url);
    wire.pass();
    expect(await until('The database is back')).toMatchObject({
      level: 'info',
      seconds: expect.any(Number),
    });
    client.close();

    const told = lines().slice(before);
    expect(told.filter(({ err }) => err !== undefined)).toEqual([]);
    const ofOutage = told.filter(({ msg }) => msg !== 'Request answered').map(({ msg }) => msg);
    expect(ofOutage).toEqual([
      'The database is away: trying again',
      'Request failed',
      'The database is back',
    ]);
  });

  test('ends with what the end took', async () => {
    expect(await api.stop()).toBe(0);
    expect(texts().slice(-2)).toEqual(['Stopping: what is under way is finished', 'Stopped']);
    expect(lines().at(-1)).toMatchObject({
      level: 'info',
      durationMs: expect.any(Number),
      requests: expect.any(Number),
    });
  });
});
