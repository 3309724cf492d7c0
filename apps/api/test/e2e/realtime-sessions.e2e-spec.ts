import { once } from 'node:events';
import type { AuthResult } from '@rind/contracts';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import jwt from 'jsonwebtoken';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { Clock } from '../../src/platform/clock/clock.js';
import { Notices, NoticesTiming } from '../../src/platform/database/notices.js';
import { ManualClock } from '../support/manual-clock.js';
import { settle, untilLive } from '../support/notices.js';
import { RealtimeClient, refusalOf } from '../support/realtime-client.js';
import { hold } from '../support/seams.js';
import { signLike, worthlessClaims } from '../support/signed-tokens.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

let database: TestDatabase;
let rind: TestApp;
const clients: RealtimeClient[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  rind = await TestApp.start({ database });
  await untilLive(rind);
});
afterEach(() => clients.splice(0).forEach((client) => client.close()));
afterAll(async () => {
  await rind.stop();
  await database.drop();
});

async function connect({ accessToken }: Account, at = rind): Promise<RealtimeClient> {
  const client = await RealtimeClient.connect(at.url, accessToken);
  clients.push(client);
  return client;
}

async function signIn({ user, password }: Account): Promise<Account> {
  const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
    body: { email: user.email, password },
  });
  return { ...body, password, id: user.id } as Account;
}

async function refresh({ refreshToken }: Account): Promise<string> {
  const { body } = await rind.request<AuthResult>('POST', '/auth/refresh', {
    body: { refreshToken },
  });
  return body.accessToken!;
}

/** The socket is told why, and closed. */
async function expectEnded(client: RealtimeClient): Promise<void> {
  const reason = await client.disconnected();
  expect(client.received.at(-1)).toEqual(['session:ended', { code: 'session_ended' }]);
  expect(['io server disconnect', 'before']).toContain(reason);
}

async function expectAlive(client: RealtimeClient): Promise<void> {
  const events = (await client.settle()).map(([event]) => event);
  expect(events).not.toContain('session:ended');
  expect(client.socket.connected).toBe(true);
}

describe('a socket ends at once', () => {
  let other: TestApp;

  beforeAll(async () => {
    other = await TestApp.start({ database });
    await untilLive(other);
  });
  afterAll(() => other.stop());

  test.each<[string, (account: Account) => Promise<unknown>]>([
    [
      'its user signs out',
      (account) => rind.request('POST', '/auth/logout', { token: account.accessToken }),
    ],
    [
      'another device ends its session',
      async (account) => {
        const { accessToken: token } = await signIn(account);
        await rind.request('DELETE', `/auth/sessions/${account.session.id}`, { token });
      },
    ],
    [
      'the password changes on another device',
      async (account) => {
        const { accessToken: token } = await signIn(account);
        const body = { currentPassword: account.password, newPassword: 'another horse battery' };
        await rind.request('POST', '/users/me/password', { token, body });
      },
    ],
    [
      'its user is deactivated',
      ({ id }) => rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [id]),
    ],
    ['its user is deleted', ({ id }) => rind.sql.query('DELETE FROM users WHERE id = $1', [id])],
  ])('when %s, on every instance', async (_cause, end) => {
    const account = await rind.signUp();
    const bystander = await connect(await rind.signUp(), other);
    const sockets = [await connect(account), await connect(account, other)];
    await end(account);
    await Promise.all(sockets.map(expectEnded));
    await settle(other);
    await expectAlive(bystander);
  });

  test('and those of the other devices stay', async () => {
    const account = await rind.signUp();
    const tablet = await connect(await signIn(account));
    const phone = await connect(account);
    await rind.request('POST', '/auth/logout', { token: account.accessToken });
    await expectEnded(phone);
    await expectAlive(tablet);
  });

  test('but not when its user gets a role', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    await rind.sql.query(`INSERT INTO user_roles (user_id, role_name) VALUES ($1, 'admin')`, [
      account.id,
    ]);
    await settle(rind);
    await expectAlive(client);
  });

  test('when its session ends while it joins', async () => {
    const account = await rind.signUp();
    await settle(rind);
    const seam = hold(rind.app.get(SessionsRepository), 'findPrincipal', 'after');
    const refused = refusalOf(rind.url, account.accessToken);
    await seam.reached;
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await settle(rind);
    seam.release();
    expect(await refused).toBe('session_ended');
  });
});

describe('without a listening connection', () => {
  let proxy: TcpProxy;
  let remote: TestApp;
  let notices: Notices;

  beforeAll(async () => {
    proxy = await TcpProxy.start(database.url);
    remote = await TestApp.start({ database, env: { DATABASE_DIRECT_URL: proxy.url } });
    notices = remote.app.get(Notices);
    const timing = { proofIntervalMs: 50, proofTimeoutMs: 1_000, reconnectDelayMs: 10 };
    Object.assign(remote.app.get(NoticesTiming), timing);
    await untilLive(remote);
    // The connection of the start still has the times of the start.
    const live = once(notices, 'live');
    await terminateListeners();
    await live;
    await untilLive(rind);
  });
  afterAll(async () => {
    await remote.stop();
    await proxy.close();
  });
  afterEach(async () => {
    proxy.pass();
    await untilLive(remote);
    await untilLive(rind);
  });

  const terminateListeners = () =>
    rind.sql.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE application_name = 'rind-notices' AND datname = current_database()`,
    );

  test('away: a session that ended unheard is found by looking, one that goes on keeps its socket', async () => {
    const account = await rind.signUp();
    const ended = await connect(account, remote);
    const alive = await connect(await rind.signUp(), remote);
    proxy.refuse();
    await terminateListeners();
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await expectEnded(ended);
    const live = once(notices, 'live');
    proxy.pass();
    await live;
    await expectAlive(alive);
  });

  test('dead without a word: the same, as soon as its proof is overdue', async () => {
    const account = await rind.signUp();
    const ended = await connect(account, remote);
    const alive = await connect(await rind.signUp(), remote);
    proxy.freeze();
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await expectEnded(ended);
    await expectAlive(alive);
  });

  test('all sockets together cost one question', async () => {
    const accounts = [await rind.signUp(), await rind.signUp(), await rind.signUp()];
    const sockets = await Promise.all(accounts.map((account) => connect(account, remote)));
    const sessionIds = accounts.map(({ session }) => session.id);
    // What was announced of their sign-up puts each of them in doubt by itself.
    await settle(remote);
    const sessions = remote.app.get(SessionsRepository);
    const findActive = sessions.findActive.bind(sessions);
    const all = Promise.withResolvers<void>();
    const questions = jest.spyOn(sessions, 'findActive').mockImplementation((ids) => {
      if (sessionIds.every((id) => ids.includes(id))) all.resolve();
      return findActive(ids);
    });
    await terminateListeners();
    await all.promise;
    questions.mockRestore();
    await Promise.all(sockets.map(expectAlive));
  });
});

describe('when the access token expires', () => {
  let clock: ManualClock;
  const LIFETIME_MS = 900_000;

  beforeEach(() => {
    clock = new ManualClock();
    Object.assign(rind.app.get(Clock), {
      now: () => clock.now(),
      setTimeout: (callback: () => void, ms: number) => clock.setTimeout(callback, ms),
      clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
    });
  });
  afterAll(() => {
    for (const name of ['now', 'setTimeout', 'clearTimeout'])
      Reflect.deleteProperty(rind.app.get(Clock), name);
  });

  /** A genuine token, as the server will issue them when the test's clock has gone on. */
  const lastingFor = (account: Account, ms: number) =>
    signLike(rind, account, { exp: Math.floor((Date.now() + ms) / 1000) });

  const renew = (client: RealtimeClient, token: unknown) =>
    client.socket.emitWithAck('auth:renew', { token } as { token: string });

  test('the socket is closed, although its session goes on', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    const closed = client.disconnected();
    clock.advance(LIFETIME_MS - 60_000);
    await expectAlive(client);
    clock.advance(120_000);
    expect(await closed).toBe('io server disconnect');
    expect(client.received).toEqual([]);
    await connect({ ...account, accessToken: await refresh(account) });
  });

  test('a socket that was renewed lives on to the end of the new token', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    const accessToken = lastingFor(account, 4 * LIFETIME_MS);
    const { exp } = jwt.decode(accessToken) as { exp: number };
    expect(await renew(client, accessToken)).toEqual({
      ok: true,
      accessTokenExpiresAt: new Date(exp * 1000).toISOString(),
    });
    const closed = client.disconnected();
    clock.advance(2 * LIFETIME_MS);
    await expectAlive(client);
    clock.advance(3 * LIFETIME_MS);
    expect(await closed).toBe('io server disconnect');
  });

  test('an older token takes nothing from the time of a newer one', async () => {
    const account = await rind.signUp();
    const client = await connect({
      ...account,
      accessToken: lastingFor(account, 4 * LIFETIME_MS),
    });
    expect(await renew(client, account.accessToken)).toMatchObject({ ok: true });
    clock.advance(2 * LIFETIME_MS);
    await expectAlive(client);
  });

  test('renewing is refused with a token of another user, or of another session of the same', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    for (const { accessToken } of [await rind.signUp(), await signIn(account)])
      expect(await renew(client, accessToken)).toEqual({ ok: false, code: 'forbidden' });
    await expectAlive(client);
  });

  test.each([
    ['no token', undefined, 'validation_failed'],
    ['an empty one', '', 'validation_failed'],
    ['a number', 1, 'validation_failed'],
    ['far too long a one', 'x'.repeat(5_000), 'validation_failed'],
    ['bytes', Buffer.from('x'), 'validation_failed'],
    ['a forged one', 'a.b.c', 'unauthenticated'],
  ])('renewing is refused with %s', async (_kind, token, code) => {
    const client = await connect(await rind.signUp());
    expect(await renew(client, token)).toEqual({ ok: false, code });
    await expectAlive(client);
  });

  test.each(worthlessClaims)(
    'renewing is refused with a signed token that %s',
    async (_kind, change, code) => {
      const account = await rind.signUp();
      const client = await connect(account);
      const token = signLike(rind, account, change(await rind.signUp()));
      expect(await renew(client, token)).toEqual({ ok: false, code });
      await expectAlive(client);
    },
  );
});
