import type { HealthReady } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { untilJobsDone } from '../support/jobs.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { RestartableServer } from '../support/restartable-server.js';
import { hold } from '../support/seams.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** Statements are given up soon, and silent connections hardly later. */
const env = { DATABASE_TIMEOUT_SECONDS: '2', LOG_LEVEL: 'silent' };

type Answer = Pick<Awaited<ReturnType<TestApp['request']>>, 'status' | 'headers'>;

describe('while the database is away', () => {
  let wire: TcpProxy;
  let rind: TestApp;
  let account: Account;
  let rich: Account;

  async function start(url: string, ownUrl = () => url): Promise<void> {
    wire = await TcpProxy.start(url);
    const database = { url: ownUrl(), drop: () => Promise.resolve() };
    // Nothing is given up before the tests begin, however busy the machine is.
    const patient = await TestApp.start({ database });
    account = await patient.signUp();
    rich = await patient.signUp();
    await patient.sql.query(
      `WITH clock AS (UPDATE sync_clocks SET version = version + 1 WHERE user_id = $1 RETURNING version)
       INSERT INTO projects (user_id, id, name, created_at, updated_at, version, is_deleted)
       SELECT $1, 'p' || i, 'n', i, i, version, false FROM generate_series(0, $2::int) i, clock`,
      [rich.id, SMALL_PULL_ROWS],
    );
    await patient.stop();
    rind = await TestApp.start({ database, env: { ...env, DATABASE_URL: wire.url } });
  }

  async function stop(): Promise<void> {
    await rind.stop();
    await wire.close();
  }

  const push = (id: string, token = account.accessToken) =>
    rind.request('POST', '/sync/push', {
      token,
      body: { changes: { projects: { created: [{ id, name: 'n' }] } }, lastPulledAt: null },
    });

  const signIn = () => {
    const { user, password } = account;
    return rind.request<{ accessToken: string }>('POST', '/auth/login', {
      body: { email: user.email, password },
    });
  };

  const requests: Readonly<Record<string, () => Promise<Answer>>> = {
    'a sign-in': signIn,
    'a refresh': async () => {
      const { refreshToken } = account;
      const answer = await rind.request<Account>('POST', '/auth/refresh', {
        body: { refreshToken },
      });
      if (answer.status === 200) account = { ...account, ...answer.body };
      return answer;
    },
    'a small pull': () => rind.request('GET', '/sync/pull', { token: account.accessToken }),
    'a large pull': () => rind.request('GET', '/sync/pull', { token: rich.accessToken }),
    'a push': () => push(crypto.randomUUID(), rich.accessToken),
    notifications: () => rind.request('GET', '/notifications', { token: account.accessToken }),
    'the account': () => rind.request('GET', '/users/me', { token: account.accessToken }),
  };

  /** Each of them at once, so that connections of the pool are used that were there before, and new ones. */
  async function answers(): Promise<Record<string, number>> {
    const entries = Object.entries(requests).map(async ([name, send]) => {
      const { status, headers } = await send();
      if (status === 503) expect(headers.get('retry-after')).toMatch(/^\d+$/);
      return [name, status] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  const all = (status: number) =>
    Object.fromEntries(Object.keys(requests).map((name) => [name, status]));

  const ready = async () => (await rind.request<HealthReady>('GET', '/health/ready')).status;

  /** Connections that were lost without a word are noticed one by one, by whoever needs one. */
  async function expectRecovery(): Promise<void> {
    for (;;) {
      // A sign-in that was interrupted counts as one with a wrong password, be it only now.
      await rind.sql.query('TRUNCATE rate_limits');
      const statuses = Object.values(await answers());
      if (statuses.every((status) => status === 200)) break;
      expect(statuses.filter((status) => ![200, 429, 503].includes(status))).toEqual([]);
    }
    while ((await ready()) !== 200);
    await untilJobsDone(rind.sql);
    const socket = await connect();
    const { body } = await served(signIn);
    await served(() => push(crypto.randomUUID(), body.accessToken));
    await socket.receive('sync:changed');
    socket.close();
  }

  async function connect(): Promise<RealtimeClient> {
    for (;;) {
      try {
        return await RealtimeClient.connect(rind.url, account.accessToken);
      } catch (error) {
        expect(error).toMatchObject({ data: { code: 'service_unavailable' } });
      }
    }
  }

  /** Sends again what is given up because the machine stood still for longer than a statement may take. */
  async function served<Outcome extends { status: number }>(
    send: () => Promise<Outcome>,
  ): Promise<Outcome> {
    for (;;) {
      const outcome = await send();
      if (outcome.status === 200) return outcome;
      expect(outcome.status).toBe(503);
    }
  }

  describe('without a word', () => {
    let database: TestDatabase;

    beforeAll(async () => {
      database = await createTestDatabase();
      await start(database.url);
    });
    beforeEach(expectRecovery);
    afterAll(async () => {
      await stop();
      await database.drop();
    });

    test('requests are answered with 503 all the same, and those that come later are served', async () => {
      wire.freeze();
      expect(await answers()).toEqual(all(503));
      expect(await ready()).toBe(503);
      wire.pass();
      await expectRecovery();
    });

    test('a push that has begun is answered with 503, and locks its user out of nothing', async () => {
      const seam = hold(rind.app.get(SyncRepository), 'write', 'before');
      const pushed = push('half');
      await seam.reached;
      wire.freeze();
      seam.release();
      expect((await pushed).status).toBe(503);
      wire.pass();
      // What the server still holds for the connection that it does not know to be lost.
      await expectRecovery();
      const { rowCount } = await rind.sql.query(`SELECT FROM projects WHERE id = 'half'`);
      expect(rowCount).toBe(0);
    });

    test('a large pull that has begun is answered with 503', async () => {
      wire.on('sent', (bytes) => {
        if (bytes.includes('COPY')) wire.freeze();
      });
      expect((await requests['a large pull']!()).status).toBe(503);
      wire.removeAllListeners('sent');
      wire.pass();
      await expectRecovery();
    });

    test('connections that are ended are answered with 503 once, and are made again', async () => {
      await rind.sql.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
      await expectRecovery();
    });
  });

  test('its restart is survived by all that goes on meanwhile', async () => {
    const server = await RestartableServer.start();
    await deployMigrations({ databaseUrl: server.url });
    await start(server.url, () => wire.url);
    let isBack = false;
    const restarted = server.restart('restart').then(() => {
      wire.retarget(server.url);
      isBack = true;
    });
    const statuses: number[] = [];
    while (!isBack) statuses.push(...Object.values(await answers()));
    await restarted;
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    await expectRecovery();
    await stop();
    await server.stop();
  }, 180_000);
});
