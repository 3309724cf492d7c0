import { randomUUID } from 'node:crypto';
import type { AuthResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { RealtimeClient, type RealtimeOptions, refusalOf } from '../support/realtime-client.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { hold } from '../support/seams.js';
import { signLike, worthlessClaims } from '../support/signed-tokens.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

describe('realtime', () => {
  let rind: TestApp;
  const clients: RealtimeClient[] = [];

  beforeAll(async () => {
    rind = await TestApp.start({ env: { CORS_ORIGINS: 'https://app.example.com' } });
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  afterAll(() => rind.stop());

  async function connect({ accessToken }: Pick<Account, 'accessToken'>, options?: RealtimeOptions) {
    const client = await RealtimeClient.connect(rind.url, accessToken, options);
    clients.push(client);
    return client;
  }

  /** Another device of the same user. */
  async function signIn({ user, password }: Account): Promise<Account> {
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: user.email, password },
    });
    return { ...body, password, id: user.id } as Account;
  }

  const project = () => ({ projects: { created: [{ id: randomUUID(), name: 'n' }] } });

  describe('after a committed push', () => {
    test("the user's other devices learn its timestamp, the one that pushed does not", async () => {
      const session = await SyncSession.open(rind);
      const phone = await connect(session.account);
      const tablet = await connect(await signIn(session.account));
      const { body } = await session.push(project());
      expect(await tablet.receive('sync:changed')).toEqual([{ timestamp: body.timestamp }]);
      expect(await phone.settle()).toEqual([]);
    });

    test('other users learn nothing', async () => {
      const session = await SyncSession.open(rind);
      const tablet = await connect(await signIn(session.account));
      const stranger = await connect(await rind.signUp());
      await session.push(project());
      await tablet.receive('sync:changed');
      expect(await stranger.settle()).toEqual([]);
    });
  });

  test('nobody is woken before the commit, or by a push that is rolled back', async () => {
    const session = await SyncSession.open(rind);
    const tablet = await connect(await signIn(session.account));
    const refused = await session.push({ projects: { created: [{ id: 'a', name: 1 }] } }, 'x');
    expect(refused.status).toBe(422);
    const repository = rind.app.get(SyncRepository);
    const seam = hold(repository, 'write', 'after');
    const pushed = session.push(project());
    await seam.reached;
    expect(await tablet.settle()).toEqual([]);
    await rind.sql.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE datname = current_database() AND state = 'idle in transaction'`,
    );
    seam.release();
    expect((await pushed).status).toBe(503);
    expect(await tablet.settle()).toEqual([]);
    const { body } = await session.push(project());
    expect(await tablet.receive('sync:changed')).toEqual([{ timestamp: body.timestamp }]);
  });

  test('the devices that pushed in a burst each learn of what the others pushed', async () => {
    const phone = await SyncSession.open(rind);
    const tablet = await SyncSession.open(rind, await signIn(phone.account));
    const sockets = [await connect(phone.account), await connect(tablet.account)];
    const pushes = [phone, tablet, phone, tablet].map((device) => device.push(project()));
    const timestamps = (await Promise.all(pushes)).map(({ body }) => body.timestamp);
    for (const [index, socket] of sockets.entries()) {
      const ofOthers = Math.max(...timestamps.filter((_, push) => push % 2 !== index));
      for (let count = 1; ; count += 1) {
        const events = await socket.receive('sync:changed', count);
        if (events.at(-1)!.timestamp >= ofOthers) break;
      }
    }
  });

  describe('tokens in cookies', () => {
    const APP = 'https://app.example.com';
    const connectFrom = (origin: string | undefined, accessToken: string, given?: string) =>
      refusalOrConnect(given, {
        extraHeaders: {
          cookie: `__Host-rind_access=${accessToken}`,
          ...(origin !== undefined && { origin }),
        },
      });

    async function refusalOrConnect(given: string | undefined, options: RealtimeOptions) {
      const client = RealtimeClient.open(rind.url, given, options);
      clients.push(client);
      return client.connected().then(
        () => 'connected',
        ({ data }: { data: { code: string } }) => data.code,
      );
    }

    test('are taken from a page of a listed origin', async () => {
      const session = await SyncSession.open(rind);
      const { accessToken } = await signIn(session.account);
      expect(await connectFrom(APP, accessToken)).toBe('connected');
      const { body } = await session.push(project());
      expect(await clients[0]!.receive('sync:changed')).toEqual([{ timestamp: body.timestamp }]);
    });

    test.each([
      'https://evil.example.com',
      'https://app.example.com.evil.example',
      'http://app.example.com',
      'https://APP.example.com:444',
      'null',
      '',
      undefined,
    ])('are refused from a page of %s', async (origin) => {
      const { accessToken } = await rind.signUp();
      expect(await connectFrom(origin, accessToken)).toBe('cross_origin_refused');
    });

    test('do not matter beside a token in `auth`, which no foreign page has', async () => {
      const { accessToken } = await rind.signUp();
      expect(await connectFrom('https://evil.example.com', 'x', accessToken)).toBe('connected');
      expect(await connectFrom(APP, accessToken, 'x')).toBe('unauthenticated');
    });
  });

  describe('a handshake is refused, with the code of HTTP,', () => {
    test('without a token', async () => {
      expect(await refusalOf(rind.url, undefined)).toBe('unauthenticated');
    });

    test.each([
      ['empty', ''],
      ['not a token', 'x'],
      ['far too long', 'x'.repeat(10_000)],
      ['a number', 1],
      ['null', null],
      ['a list', ['x']],
      ['an object', { toString: 'x' }],
    ])('for a token that is %s', async (_kind, token) => {
      expect(await refusalOf(rind.url, token as string)).toBe('unauthenticated');
    });

    test.each(worthlessClaims)('for a signed token that %s', async (_kind, change, code) => {
      const [account, stranger] = [await rind.signUp(), await rind.signUp()];
      expect(await refusalOf(rind.url, signLike(rind, account, change(stranger)))).toBe(code);
      await connect({ accessToken: signLike(rind, account, {}) });
    });

    test('for a token of a session that has ended', async () => {
      const account = await rind.signUp();
      await rind.request('POST', '/auth/logout', { token: account.accessToken });
      expect(await refusalOf(rind.url, account.accessToken)).toBe('session_ended');
    });
  });
});
