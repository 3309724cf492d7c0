import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AuthResult, PushResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { ApiProcess } from '../support/api-process.js';
import { findPgBouncer, PgBouncer } from '../support/pgbouncer.js';
import { RealtimeClient, type RealtimeOptions } from '../support/realtime-client.js';
import { RestartableServer } from '../support/restartable-server.js';
import { RoundRobin } from '../support/round-robin.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { databaseEnvironment, isPooledRun } from '../support/test-database.js';

const password = 'correct horse battery';

type SignedIn = AuthResult & { accessToken: string };

describe('two processes behind a balancer', () => {
  let server: RestartableServer;
  let wire: TcpProxy;
  let pooler: PgBouncer | null;
  let instances: ApiProcess[];
  let balancer: RoundRobin;
  const clients: RealtimeClient[] = [];

  beforeAll(async () => {
    server = await RestartableServer.start();
    await deployMigrations({ databaseUrl: server.url });
    wire = await TcpProxy.start(server.url);
    pooler = isPooledRun() ? await PgBouncer.start(findPgBouncer()!, wire.url) : null;
    const environment = {
      NODE_ENV: 'test',
      LOG_LEVEL: 'error',
      ...databaseEnvironment({ url: wire.url, ...(pooler && { pooledUrl: pooler.url }) }),
      RATE_LIMIT_ANON_PER_MINUTE: '0',
      RATE_LIMIT_AUTH_PER_MINUTE: '0',
    };
    instances = await Promise.all([ApiProcess.start(environment), ApiProcess.start(environment)]);
    balancer = await RoundRobin.start(instances.map(({ url }) => url));
  }, 60_000);
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  afterAll(async () => {
    await balancer.close();
    await Promise.all(instances.map((instance) => instance.stop()));
    await pooler?.stop();
    await wire.close();
    await server.stop();
  });

  async function signUp(): Promise<{ email: string; account: SignedIn }> {
    const email = `${randomUUID()}@example.com`;
    const { status, body } = await instances[0]!.request<SignedIn>('POST', '/auth/register', {
      body: { email, password, displayName: 'Ada' },
    });
    expect(status).toBe(201);
    return { email, account: body };
  }

  async function signIn(email: string): Promise<SignedIn> {
    const { body } = await instances[0]!.request<SignedIn>('POST', '/auth/login', {
      body: { email, password },
    });
    return body;
  }

  /** One socket on each of the two processes: the balancer takes turns. */
  async function connectTwice({ accessToken }: SignedIn, options?: RealtimeOptions) {
    const sockets: RealtimeClient[] = [];
    for (const _process of instances)
      sockets.push(await RealtimeClient.connect(balancer.url, accessToken, options));
    clients.push(...sockets);
    return sockets;
  }

  const push = ({ accessToken: token }: SignedIn, at = instances[0]!) =>
    at.request<PushResult>('POST', '/sync/push', {
      token,
      body: {
        changes: { projects: { created: [{ id: randomUUID(), name: 'n' }] } },
        lastPulledAt: null,
      },
    });

  /** Resolves when one of the events is of this change, or of a later one. */
  async function untilWoken(client: RealtimeClient, timestamp: number): Promise<void> {
    for (let count = 1; ; count += 1) {
      const events = await client.receive('sync:changed', count);
      if (events[count - 1]!.timestamp >= timestamp) return;
    }
  }

  const terminateListeners = async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'rind-notices'`,
    );
    await client.end();
  };

  test('a push on either wakes the other devices on both, and leaves its own session out on both', async () => {
    const { email, account } = await signUp();
    const phones = await connectTwice(account);
    const tablets = await connectTwice(await signIn(email));
    for (const instance of instances) {
      const { body } = await push(account, instance);
      await Promise.all(tablets.map((tablet) => untilWoken(tablet, body.timestamp)));
    }
    for (const phone of phones) expect(await phone.settle()).toEqual([]);
  });

  test('a session that is ended on one loses its sockets on both', async () => {
    const { account } = await signUp();
    const sockets = await connectTwice(account);
    await instances[0]!.request('POST', '/auth/logout', { token: account.accessToken });
    for (const socket of sockets) {
      await socket.disconnected();
      expect(socket.received.at(-1)).toEqual(['session:ended', { code: 'session_ended' }]);
    }
  });

  test('after their listening connections are killed, sockets are still there and learn what they missed', async () => {
    const { email, account } = await signUp();
    const tablets = await connectTwice(await signIn(email));
    await terminateListeners();
    const { body } = await push(account);
    await Promise.all(tablets.map((tablet) => untilWoken(tablet, body.timestamp)));
    const { body: next } = await push(account, instances[1]);
    await Promise.all(tablets.map((tablet) => untilWoken(tablet, next.timestamp)));
    expect(tablets.map(({ socket }) => socket.connected)).toEqual([true, true]);
  });

  test.each(['restart', 'crash'] as const)(
    'after a %s of the database, sockets are still there and learn what they missed',
    async (how) => {
      const { email, account } = await signUp();
      const tablets = await connectTwice(await signIn(email));
      await server.restart(how);
      wire.retarget(server.url);
      let pushed = await push(account);
      while (pushed.status !== 200) {
        await delay(50);
        pushed = await push(account);
      }
      await Promise.all(tablets.map((tablet) => untilWoken(tablet, pushed.body.timestamp)));
      const { body: next } = await push(account, instances[1]);
      await Promise.all(tablets.map((tablet) => untilWoken(tablet, next.timestamp)));
      expect(tablets.map(({ socket }) => socket.connected)).toEqual([true, true]);
    },
    60_000,
  );

  test('a process that is told to end closes its sockets; they go on at the other', async () => {
    const { email, account } = await signUp();
    const [kept, moved] = await connectTwice(await signIn(email), { reconnection: true });
    const leaving = instances.pop()!;
    balancer.remove(leaving.url);
    const reconnected = Promise.race(
      [kept!, moved!].map(async (client) => {
        const reason = await client.disconnected();
        await client.connected();
        return reason;
      }),
    );
    const code = await leaving.stop();
    // What it said tells why it did not end well.
    expect(code === 0 || `${code}: ${leaving.output}`).toBe(true);
    expect(await reconnected).toBe('transport close');
    const { body } = await push(account);
    await Promise.all([kept!, moved!].map((client) => untilWoken(client, body.timestamp)));
  });
});
