import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { PrincipalsService } from '../../src/auth/principals.service.js';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { Notices, NoticesTiming } from '../../src/platform/database/notices.js';
import { settle, untilLive } from '../support/notices.js';
import { hold, type Seam } from '../support/seams.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

type Answer = { status: number; body: AuthResult['user'] & Problem };

let database: TestDatabase;
let rind: TestApp;
const seams: Seam[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  rind = await TestApp.start({ database });
  await untilLive(rind);
});
afterEach(() => {
  seams.splice(0).forEach((seam) => seam.release());
  jest.restoreAllMocks();
});
afterAll(async () => {
  await rind.stop();
  await database.drop();
});

const getMe = ({ accessToken }: Account, at = rind): Promise<Answer> =>
  at.request('GET', '/users/me', { token: accessToken });

async function expectEnded(account: Account, at = rind): Promise<void> {
  const { status, body } = await getMe(account, at);
  expect([status, body.code]).toEqual([401, 'session_ended']);
}

/** Calls that ask the database who a token stands for. */
const spyOnReads = ({ app }: TestApp) => jest.spyOn(app.get(SessionsRepository), 'findPrincipal');

/** Registers an account and has an instance cache its principal. */
async function signUpCached(at = rind): Promise<Account> {
  const account = await rind.signUp();
  await settle(at);
  expect((await getMe(account, at)).status).toBe(200);
  expect(at.app.get(PrincipalsService).findCached(account.accessToken)).toBeDefined();
  return account;
}

describe('a token that was seen before', () => {
  test('costs no query', async () => {
    const account = await rind.signUp();
    await settle(rind);
    const reads = spyOnReads(rind);
    for (let count = 0; count < 3; count += 1) expect((await getMe(account)).status).toBe(200);
    expect(reads).toHaveBeenCalledTimes(1);
  });

  test('is cached by itself alone: another token of the same session is read', async () => {
    const account = await signUpCached();
    const reads = spyOnReads(rind);
    const { body } = await rind.request<AuthResult>('POST', '/auth/refresh', {
      body: { refreshToken: account.refreshToken },
    });
    expect((await getMe({ ...account, ...body } as Account)).status).toBe(200);
    expect(reads).toHaveBeenCalledTimes(1);
    // Nor does a forged signature find what the genuine one left.
    const forged = `${account.accessToken.slice(0, -3)}AAA`;
    expect((await getMe({ ...account, accessToken: forged })).status).toBe(401);
  });

  test('what happens to others takes nothing out', async () => {
    const account = await signUpCached();
    const other = await signUpCached();
    await rind.sql.query('DELETE FROM users WHERE id = $1', [other.id]);
    await settle(rind);
    const reads = spyOnReads(rind);
    expect((await getMe(account)).status).toBe(200);
    expect(reads).not.toHaveBeenCalled();
  });
});

describe('what ends a session or changes a user is seen by every instance', () => {
  let other: TestApp;

  beforeAll(async () => {
    other = await TestApp.start({ database });
    await untilLive(other);
  });
  afterAll(() => other.stop());

  /** Cached on both instances. */
  async function signUpOnBoth(): Promise<Account> {
    const account = await signUpCached();
    await settle(other);
    expect((await getMe(account, other)).status).toBe(200);
    expect(other.app.get(PrincipalsService).findCached(account.accessToken)).toBeDefined();
    return account;
  }

  async function expectEndedOnBoth(account: Account): Promise<void> {
    await Promise.all([settle(rind), settle(other)]);
    await expectEnded(account, rind);
    await expectEnded(account, other);
  }

  test('logging out on one of them', async () => {
    const account = await signUpOnBoth();
    const { status } = await rind.request('POST', '/auth/logout', { token: account.accessToken });
    expect(status).toBe(204);
    await expectEndedOnBoth(account);
  });

  test('signing in again with the same device', async () => {
    const account = await signUpOnBoth();
    const id = randomUUID();
    await rind.sql.query('UPDATE sessions SET device_id = $2 WHERE id = $1', [
      account.session.id,
      id,
    ]);
    const { status } = await rind.request('POST', '/auth/login', {
      body: { email: account.user.email, password: account.password, device: { id } },
    });
    expect(status).toBe(200);
    await expectEndedOnBoth(account);
  });

  test('a refresh token that was reused', async () => {
    const account = await signUpOnBoth();
    const refresh = (refreshToken: string) =>
      rind.request<AuthResult>('POST', '/auth/refresh', { body: { refreshToken } });
    const { body } = await refresh(account.refreshToken);
    await refresh(body.refreshToken!);
    expect((await refresh(account.refreshToken)).status).toBe(401);
    await expectEndedOnBoth(account);
  });

  test('a deactivation by hand; a reactivation gives it back', async () => {
    const account = await signUpOnBoth();
    const setActive = (isActive: boolean) =>
      rind.sql.query('UPDATE users SET is_active = $2 WHERE id = $1', [account.id, isActive]);
    await setActive(false);
    await expectEndedOnBoth(account);
    await setActive(true);
    expect((await getMe(account, other)).status).toBe(200);
  });

  test('a deletion by hand', async () => {
    const account = await signUpOnBoth();
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    await expectEndedOnBoth(account);
  });

  test.each([
    ['given', `INSERT INTO user_roles VALUES ($1, 'admin')`, ['admin', 'user']],
    ['taken', `DELETE FROM user_roles WHERE user_id = $1`, []],
    ['changed', `UPDATE user_roles SET role_name = 'admin' WHERE user_id = $1`, ['admin']],
  ])('a role that is %s by hand', async (_name, change, roles) => {
    const account = await signUpOnBoth();
    const cached = () => other.app.get(PrincipalsService).findCached(account.accessToken);
    expect(cached()?.roles).toEqual(['user']);
    await rind.sql.query(change, [account.id]);
    await settle(other);
    expect(cached()).toBeUndefined();
    expect((await getMe(account, other)).body.roles).toEqual(roles);
    expect(cached()?.roles).toEqual(roles);
  });

  test('what is rolled back ends nothing', async () => {
    const account = await signUpOnBoth();
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('DELETE FROM users WHERE id = $1', [account.id]);
    await admin.query('ROLLBACK');
    admin.release();
    await settle(other);
    const reads = spyOnReads(other);
    expect((await getMe(account, other)).status).toBe(200);
    expect(reads).not.toHaveBeenCalled();
  });
});

describe('a principal that is read while its session ends', () => {
  test.each([
    ['the session', 'DELETE FROM sessions WHERE user_id = $1'],
    ['the account', 'DELETE FROM users WHERE id = $1'],
    ['the activity', 'UPDATE users SET is_active = false WHERE id = $1'],
  ])('is not cached: %s', async (_name, end) => {
    const account = await rind.signUp();
    await settle(rind);
    const seam = hold(rind.app.get(SessionsRepository), 'findPrincipal', 'after');
    seams.push(seam);
    const held = getMe(account);
    await seam.reached;
    await rind.sql.query(end, [account.id]);
    await settle(rind);
    seam.release();
    // It was still signed in when it was asked.
    expect([200, 401]).toContain((await held).status);
    await expectEnded(account);
  });

  test('nor across a lost connection', async () => {
    const account = await rind.signUp();
    await settle(rind);
    const seam = hold(rind.app.get(SessionsRepository), 'findPrincipal', 'after');
    seams.push(seam);
    const held = getMe(account);
    await seam.reached;
    const notices = rind.app.get(Notices);
    const [gap, live] = [once(notices, 'gap'), once(notices, 'live')];
    await terminateListeners();
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await gap;
    await live;
    seam.release();
    await held;
    await expectEnded(account);
  });
});

const terminateListeners = () =>
  rind.sql.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE application_name = 'rind-notices' AND datname = current_database()`,
  );

describe('without a listening connection', () => {
  let proxy: TcpProxy;
  let remote: TestApp;
  let notices: Notices;

  beforeAll(async () => {
    proxy = await TcpProxy.start(database.url);
    remote = await TestApp.start({ database, env: { DATABASE_DIRECT_URL: proxy.url } });
    notices = remote.app.get(Notices);
    // Fast enough to wait for; slow enough for a busy machine not to seem dead.
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

  async function expectEveryRequestRead(account: Account): Promise<void> {
    const reads = spyOnReads(remote);
    for (let count = 0; count < 3; count += 1) {
      expect((await getMe(account, remote)).status).toBe(200);
    }
    expect(reads).toHaveBeenCalledTimes(3);
    reads.mockRestore();
  }

  test('lost: nothing cached before is believed, nothing is cached until the next one is live', async () => {
    const ended = await signUpCached(remote);
    const alive = await signUpCached(remote);
    proxy.refuse();
    const gap = once(notices, 'gap');
    await terminateListeners();
    // Announced to nobody.
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [ended.session.id]);
    await gap;
    await expectEnded(ended, remote);
    await expectEveryRequestRead(alive);

    const live = once(notices, 'live');
    proxy.pass();
    await live;
    await expectEnded(ended, remote);
    const reads = spyOnReads(remote);
    for (let count = 0; count < 3; count += 1) await getMe(alive, remote);
    expect(reads).toHaveBeenCalledTimes(1);
  });

  test('dead without a word: the same, as soon as its proof is overdue', async () => {
    const ended = await signUpCached(remote);
    const alive = await signUpCached(remote);
    const gap = once(notices, 'gap');
    proxy.freeze();
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [ended.session.id]);
    await gap;
    await expectEnded(ended, remote);
    await expectEveryRequestRead(alive);

    const live = once(notices, 'live');
    proxy.pass();
    await live;
    await expectEnded(ended, remote);
  });

  test('the database itself is reached all the while', async () => {
    proxy.refuse();
    const gap = once(notices, 'gap');
    await terminateListeners();
    await gap;
    const account = await rind.signUp();
    expect((await getMe(account, remote)).status).toBe(200);
    const { status } = await remote.request('POST', '/auth/logout', {
      token: account.accessToken,
    });
    expect(status).toBe(204);
    await expectEnded(account, remote);
  });
});
