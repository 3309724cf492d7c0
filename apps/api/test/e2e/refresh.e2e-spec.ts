import { randomUUID } from 'node:crypto';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { RefreshTokens } from '../../src/auth/refresh-tokens.js';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { settle } from '../support/notices.js';
import { hold, type Seam } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const JWT_SECRET = 'a secret of at least thirty-two characters';
const TWO_WEEKS = '14 days';
const MAX_COUNTER = 2 ** 31 - 1;

type Answer = { status: number; headers: Headers; body: AuthResult & Problem };

let rind: TestApp;
const seams: Seam[] = [];

beforeAll(async () => {
  rind = await TestApp.start({ env: { JWT_SECRET } });
});
afterEach(() => {
  seams.splice(0).forEach((seam) => seam.release());
  jest.restoreAllMocks();
});
afterAll(() => rind.stop());

const refresh = (refreshToken: string | undefined, at = rind): Promise<Answer> =>
  at.request('POST', '/auth/refresh', { body: { refreshToken } });

/** Refreshes as a device does that gets its answer. */
async function rotate(refreshToken: string, at = rind): Promise<Tokens> {
  const { status, body } = await refresh(refreshToken, at);
  expect(status).toBe(200);
  return tokensOf(body);
}

interface Tokens {
  accessToken: string;
  refreshToken: string;
}

const tokensOf = ({ accessToken, refreshToken }: AuthResult): Tokens => ({
  accessToken: accessToken!,
  refreshToken: refreshToken!,
});

const getMe = ({ accessToken }: Tokens, at = rind) =>
  at.request('GET', '/users/me', { token: accessToken });

async function expectRefused(
  refreshToken: string,
  code: Problem['code'] = 'refresh_token_invalid',
  at = rind,
): Promise<void> {
  const { status, body } = await refresh(refreshToken, at);
  expect([status, body.code]).toEqual([401, code]);
}

async function expectAlive(tokens: Tokens, at = rind): Promise<void> {
  expect((await getMe(tokens, at)).status).toBe(200);
  await rotate(tokens.refreshToken, at);
}

/** The session ended, and with it every token that it ever gave out. */
async function expectAllDead(sessionId: string, ...all: Tokens[]): Promise<void> {
  const { rows } = await rind.sql.query('SELECT FROM sessions WHERE id = $1', [sessionId]);
  expect(rows).toHaveLength(0);
  await settle(rind);
  for (const tokens of all) {
    const { status, body } = await getMe(tokens);
    expect([status, body.code]).toEqual([401, 'session_ended']);
    await expectRefused(tokens.refreshToken);
  }
}

interface SessionState {
  refresh_counter: number;
  refresh_confirmed: boolean;
  expires_at: Date;
}

async function stateOf({ session }: AuthResult): Promise<SessionState> {
  const { rows } = await rind.sql.query<SessionState>(
    'SELECT refresh_counter, refresh_confirmed, expires_at FROM sessions WHERE id = $1',
    [session.id],
  );
  return rows[0]!;
}

/** Moves all times of a session back, as if so much time had passed since its last refresh. */
const letPass = ({ session }: AuthResult, time: string) =>
  rind.sql.query(
    `UPDATE sessions SET refresh_issued_at = refresh_issued_at - $2::interval,
       created_at = created_at - $2::interval, last_used_at = last_used_at - $2::interval,
       expires_at = expires_at - $2::interval
     WHERE id = $1`,
    [session.id, time],
  );

const setCounter = ({ session }: AuthResult, counter: number) =>
  rind.sql.query('UPDATE sessions SET refresh_counter = $2 WHERE id = $1', [session.id, counter]);

describe('an answer that arrives', () => {
  test('carries new tokens of the same session, and the user as of now', async () => {
    const account = await rind.signUp({ deviceId: randomUUID() });
    await letPass(account, '1 day');
    await rind.sql.query(
      `UPDATE users SET display_name = 'Ada', updated_at = now() WHERE id = $1`,
      [account.id],
    );
    const { status, body } = await refresh(account.refreshToken);
    expect(status).toBe(200);
    expect(body).toEqual({
      user: { ...account.user, displayName: 'Ada', updatedAt: expect.any(String) },
      session: {
        ...account.session,
        createdAt: expect.any(String),
        expiresAt: expect.any(String),
      },
      accessToken: expect.any(String),
      accessTokenExpiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      refreshToken: expect.any(String),
    });
    expect(body.refreshToken).not.toBe(account.refreshToken);
    // The day that passed is given back.
    expect(Date.parse(body.session.expiresAt)).toBeGreaterThanOrEqual(
      Date.parse(account.session.expiresAt),
    );
    expect((await getMe(tokensOf(body))).status).toBe(200);
    // An access token is good until it expires; the one before it, too.
    expect((await getMe(account)).status).toBe(200);
  });

  test('a chain of refreshes keeps one session alive', async () => {
    const account = await rind.signUp();
    const seen = new Set([account.refreshToken]);
    let { refreshToken } = account;
    for (let count = 0; count < 5; count += 1) {
      refreshToken = (await rotate(refreshToken)).refreshToken;
      seen.add(refreshToken);
    }
    expect(seen.size).toBe(6);
    expect((await stateOf(account)).refresh_counter).toBe(6);
  });

  test('notes from where and when the session was used last', async () => {
    const account = await rind.signUp();
    await letPass(account, '1 day');
    await rind.request('POST', '/auth/refresh', {
      body: { refreshToken: account.refreshToken },
      headers: { 'user-agent': 'Rind/2.0' },
    });
    const { rows } = await rind.sql.query(
      `SELECT ip, user_agent, last_used_at > now() - interval '1 hour' AS "isRecent"
       FROM sessions WHERE id = $1`,
      [account.session.id],
    );
    expect(rows).toEqual([{ ip: '127.0.0.1', user_agent: 'Rind/2.0', isRecent: true }]);
  });
});

describe('an answer that is lost', () => {
  let proxy: FaultyProxy;

  beforeAll(async () => {
    proxy = await FaultyProxy.start(rind.url);
  });
  afterAll(() => proxy.close());

  /** Sends a refresh whose answer never arrives. */
  async function refreshInVain(refreshToken: string): Promise<void> {
    const { struck } = proxy.loseAnswer('/auth/refresh');
    await expect(
      fetch(`${proxy.url}/api/v1/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refreshToken }),
      }),
    ).rejects.toThrow('fetch failed');
    await struck;
  }

  test.each([
    ['at once', '0'],
    ['two weeks later', TWO_WEEKS],
  ])(
    'several times in a row: %s the device goes on with the token that it has',
    async (_name, time) => {
      const account = await rind.signUp();
      for (let count = 0; count < 3; count += 1) {
        await refreshInVain(account.refreshToken);
        await letPass(account, time === '0' ? '0' : '4 days 16 hours');
      }
      expect((await stateOf(account)).refresh_counter).toBe(2);
      const tokens = await rotate(account.refreshToken);
      await expectAlive(tokens);
    },
  );

  test('in the middle of a chain, and again at once', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    expect((await getMe(second)).status).toBe(200);
    await refreshInVain(second.refreshToken);
    await letPass(account, TWO_WEEKS);
    const third = await rotate(second.refreshToken);
    await refreshInVain(third.refreshToken);
    await letPass(account, TWO_WEEKS);
    await expectAlive(await rotate(third.refreshToken));
  });

  test('every repeat gets the same refresh token, and an access token that works', async () => {
    const account = await rind.signUp();
    await refreshInVain(account.refreshToken);
    const first = await rotate(account.refreshToken);
    await letPass(account, TWO_WEEKS);
    const second = await rotate(account.refreshToken);
    expect(second.refreshToken).toBe(first.refreshToken);
    expect((await getMe(second)).status).toBe(200);
  });

  test('an access token from before the refresh confirms nothing', async () => {
    const account = await rind.signUp();
    await refreshInVain(account.refreshToken);
    expect((await getMe(account)).status).toBe(200);
    expect((await stateOf(account)).refresh_confirmed).toBe(false);
    await letPass(account, TWO_WEEKS);
    await expectAlive(await rotate(account.refreshToken));
  });

  test('nor does one that is being checked while the session is refreshed', async () => {
    const account = await rind.signUp();
    const seam = hold(rind.app.get(SessionsRepository), 'confirm', 'before');
    seams.push(seam);
    const checked = getMe(account);
    await seam.reached;
    await refreshInVain(account.refreshToken);
    seam.release();
    expect((await checked).status).toBe(200);
    expect((await stateOf(account)).refresh_confirmed).toBe(false);
    await letPass(account, TWO_WEEKS);
    await expectAlive(await rotate(account.refreshToken));
  });

  test("another instance that restarts meanwhile doesn't matter", async () => {
    const account = await rind.signUp();
    await refreshInVain(account.refreshToken);
    const other = await TestApp.start({ env: { JWT_SECRET }, database: rind.database });
    try {
      await expectAlive(await rotate(account.refreshToken, other), other);
    } finally {
      await other.stop();
    }
  });
});

describe('refreshes with one token at the same moment', () => {
  let other: TestApp;

  beforeAll(async () => {
    other = await TestApp.start({ env: { JWT_SECRET }, database: rind.database });
  });
  afterAll(() => other.stop());

  /** Nobody writes before all `count` refreshes have read the row and decided to rotate. */
  function meetBeforeRotating(count: number): void {
    const met = Promise.withResolvers<void>();
    let arrived = 0;
    for (const { app } of [rind, other]) {
      const repository = app.get(SessionsRepository);
      const rotateRow = repository.rotate.bind(repository);
      jest.spyOn(repository, 'rotate').mockImplementation(async (...parameters) => {
        arrived += 1;
        if (arrived === count) met.resolve();
        await met.promise;
        return rotateRow(...parameters);
      });
    }
  }

  test.each([
    ['on one instance', () => [rind, rind]],
    ['on two instances', () => [rind, other]],
    ['five of them', () => [rind, other, rind, other, rind]],
  ])('%s: equal refresh tokens, one session, one step', async (_name, instances) => {
    const account = await rind.signUp();
    meetBeforeRotating(instances().length);
    const all = await Promise.all(instances().map((at) => rotate(account.refreshToken, at)));
    expect(new Set(all.map(({ refreshToken }) => refreshToken)).size).toBe(1);
    expect((await stateOf(account)).refresh_counter).toBe(2);
    const { rows } = await rind.sql.query('SELECT id FROM sessions WHERE user_id = $1', [
      account.id,
    ]);
    expect(rows).toEqual([{ id: account.session.id }]);
    for (const tokens of all) expect((await getMe(tokens)).status).toBe(200);
    await expectAlive(all[0]!, other);
  });

  test('one of them late, when the successor is already in use: as long as the window is open', async () => {
    const account = await rind.signUp();
    const seam = holdRotation();
    const late = refresh(account.refreshToken);
    await seam.reached;
    const tokens = await rotate(account.refreshToken, other);
    expect((await getMe(tokens, other)).status).toBe(200);
    seam.release();
    expect(tokensOf((await late).body).refreshToken).toBe(tokens.refreshToken);
  });

  test('a thief who is held while the device goes on: the session ends all the same', async () => {
    const account = await rind.signUp();
    const stolen = account.refreshToken;
    const second = await rotate(stolen);
    expect((await getMe(second)).status).toBe(200);
    await letPass(account, '31 seconds');
    const seam = hold(rind.app.get(SessionsRepository), 'deleteAsSeen', 'before');
    seams.push(seam);
    const theft = refresh(stolen);
    await seam.reached;
    const third = await rotate(second.refreshToken, other);
    seam.release();
    expect((await theft).body.code).toBe('refresh_token_reused');
    await expectAllDead(account.session.id, account, second, third);
  });

  test('a session that ends meanwhile is not brought back', async () => {
    const account = await rind.signUp();
    const seam = holdRotation();
    const refreshing = refresh(account.refreshToken);
    await seam.reached;
    await rind.request('POST', '/auth/logout', { token: account.accessToken });
    seam.release();
    expect((await refreshing).body.code).toBe('refresh_token_invalid');
    await expectAllDead(account.session.id, account);
  });

  function holdRotation(): Seam {
    const seam = hold(rind.app.get(SessionsRepository), 'rotate', 'before');
    seams.push(seam);
    return seam;
  }
});

describe('a token that was used before', () => {
  test('within the window it gets the current token again, although that is in use', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    expect((await getMe(second)).status).toBe(200);
    expect((await stateOf(account)).refresh_confirmed).toBe(true);
    await letPass(account, '25 seconds');
    const again = await rotate(account.refreshToken);
    expect(again.refreshToken).toBe(second.refreshToken);
    await expectAlive(again);
  });

  test('after the window, the access token of its successor having been used: the session ends', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    expect((await getMe(second)).status).toBe(200);
    await letPass(account, '31 seconds');
    await expectRefused(account.refreshToken, 'refresh_token_reused');
    await expectAllDead(account.session.id, account, second);
  });

  test('after its successor was used: the session ends', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    const third = await rotate(second.refreshToken);
    await letPass(account, '31 seconds');
    await expectRefused(account.refreshToken, 'refresh_token_reused');
    await expectAllDead(account.session.id, account, second, third);
  });

  test('two generations old, even at once: the session ends', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    const third = await rotate(second.refreshToken);
    const fourth = await rotate(third.refreshToken);
    await expectRefused(second.refreshToken, 'refresh_token_reused');
    await expectAllDead(account.session.id, account, second, third, fourth);
  });

  test('other sessions of the user go on', async () => {
    const account = await rind.signUp();
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: account.user.email, password: account.password },
    });
    const second = await rotate(account.refreshToken);
    await rotate(second.refreshToken);
    await expectRefused(account.refreshToken, 'refresh_token_reused');
    await expectAlive(tokensOf(body));
  });

  test('the window is a setting', async () => {
    const strict = await TestApp.start({
      env: { JWT_SECRET, REFRESH_REUSE_WINDOW_SECONDS: '0' },
      database: rind.database,
    });
    try {
      const account = await rind.signUp();
      const second = await rotate(account.refreshToken, strict);
      expect((await getMe(second, strict)).status).toBe(200);
      await letPass(account, '1 second');
      await expectRefused(account.refreshToken, 'refresh_token_reused', strict);
    } finally {
      await strict.stop();
    }
  });
});

describe('a database put back from a backup', () => {
  test('a counter that it does not know yet is accepted, and counted on from', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    const third = await rotate(second.refreshToken);
    expect((await getMe(third)).status).toBe(200);
    await setCounter(account, 1);
    const fourth = await rotate(third.refreshToken);
    expect((await stateOf(account)).refresh_counter).toBe(4);
    // The answer may be lost here, too.
    expect(await rotate(third.refreshToken)).toMatchObject({ refreshToken: fourth.refreshToken });
    await expectAlive(fourth);
  });

  test('two at once with such a token agree', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    const third = await rotate(second.refreshToken);
    await setCounter(account, 1);
    const [one, other] = await Promise.all([
      rotate(third.refreshToken),
      rotate(third.refreshToken),
    ]);
    expect(one.refreshToken).toBe(other.refreshToken);
  });
});

describe('a token that is not genuine', () => {
  const bytesOf = (token: string) => Buffer.from(token, 'base64url');
  const withBytes = (token: string, change: (bytes: Buffer) => void) => {
    const bytes = bytesOf(token);
    change(bytes);
    return bytes.toString('base64url');
  };

  test.each<[string, (token: string) => string]>([
    ['a forged MAC', (token) => withBytes(token, (bytes) => (bytes[51]! ^= 1))],
    ['a higher counter', (token) => withBytes(token, (bytes) => bytes.writeUInt32BE(2, 16))],
    ['a lower counter', (token) => withBytes(token, (bytes) => bytes.writeUInt32BE(0, 16))],
    ['the highest counter', (token) => withBytes(token, (bytes) => bytes.fill(255, 16, 20))],
    ['another session', (token) => withBytes(token, (bytes) => (bytes[0]! ^= 1))],
    ['cut off', (token) => bytesOf(token).subarray(0, 51).toString('base64url')],
    ['without its MAC', (token) => bytesOf(token).subarray(0, 20).toString('base64url')],
    [
      'a trailing byte',
      (token) => Buffer.concat([bytesOf(token), Buffer.of(0)]).toString('base64url'),
    ],
    ['twice', (token) => token + token],
    ['padded', (token) => `${token}==`],
    ['with a space', (token) => `${token} `],
    ['with a line break within', (token) => `${token.slice(0, 9)}\n${token.slice(9)}`],
    ['in hex', (token) => bytesOf(token).toString('hex')],
    // The last character carries four bits that mean nothing.
    ['other unused bits', (token) => token.slice(0, -1) + nextLetter(token.at(-1)!)],
    ['an access token', () => 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl'],
    ['no token at all', () => 'null'],
  ])('is refused, and ends no session: %s', async (_name, forge) => {
    const account = await rind.signUp();
    const forged = forge(account.refreshToken);
    expect(forged).not.toBe(account.refreshToken);
    await expectRefused(forged);
    await expectAlive(account);
  });

  function nextLetter(letter: string): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return alphabet[alphabet.indexOf(letter) ^ 1]!;
  }

  test("the id of somebody else's session under one's own counter and MAC", async () => {
    const [thief, victim] = [await rind.signUp(), await rind.signUp()];
    const forged = withBytes(thief.refreshToken, (bytes) =>
      bytesOf(victim.refreshToken).copy(bytes, 0, 0, 16),
    );
    await expectRefused(forged);
    await expectAlive(thief);
    await expectAlive(victim);
  });

  // No session gets there by refreshing, but the token's counter has room for more than the row's.
  test.each([MAX_COUNTER, MAX_COUNTER + 1, 2 ** 32 - 1])(
    'a counter beyond counting, %i, is refused even with a good MAC',
    async (counter) => {
      const account = await rind.signUp();
      const { rows } = await rind.sql.query(
        'SELECT refresh_salt AS salt, refresh_key_id AS "keyId" FROM sessions WHERE id = $1',
        [account.session.id],
      );
      const token = rind.app
        .get(RefreshTokens)
        .mint({ id: account.session.id, ...rows[0], counter });
      await expectRefused(token);
      await expectAlive(account);
    },
  );
});

describe('the lifetime', () => {
  test('a session that was not refreshed in time is over', async () => {
    const account = await rind.signUp();
    await letPass(account, '30 days 1 second');
    await expectRefused(account.refreshToken);
    const { status, body } = await getMe(account);
    expect([status, body.code]).toEqual([401, 'session_ended']);
  });

  test('up to the last moment it is not', async () => {
    const account = await rind.signUp();
    await letPass(account, '29 days 23 hours');
    await expectAlive(await rotate(account.refreshToken));
  });

  test('refreshing moves the end, up to the absolute one', async () => {
    const account = await rind.signUp();
    const ageInDays = async () => {
      const { rows } = await rind.sql.query<{ days: number }>(
        `SELECT round(extract(epoch FROM expires_at - created_at) / 86400)::int AS days
         FROM sessions WHERE id = $1`,
        [account.session.id],
      );
      return rows[0]!.days;
    };
    await letPass(account, '29 days');
    const second = await rotate(account.refreshToken);
    expect(await ageInDays()).toBe(59);
    await letPass(account, '29 days');
    const third = await rotate(second.refreshToken);
    expect(await ageInDays()).toBe(88);
    await letPass(account, '29 days');
    const { body } = await refresh(third.refreshToken);
    expect(await ageInDays()).toBe(90);
    expect(Date.parse(body.session.expiresAt)).toBe((await stateOf(account)).expires_at.getTime());
    await letPass(account, '3 days');
    await expectRefused(body.refreshToken!);
  });

  test('a deactivated user cannot refresh, and can again when reactivated', async () => {
    const account = await rind.signUp();
    const setActive = (isActive: boolean) =>
      rind.sql.query('UPDATE users SET is_active = $2 WHERE id = $1', [account.id, isActive]);
    await setActive(false);
    await expectRefused(account.refreshToken);
    await setActive(true);
    await expectAlive(account);
  });
});

describe('a new JWT_SECRET', () => {
  const NEW_SECRET = 'another secret of thirty-two characters';
  let renewed: TestApp;
  let hasty: TestApp;

  beforeAll(async () => {
    const { database } = rind;
    renewed = await TestApp.start({
      env: { JWT_SECRET: NEW_SECRET, JWT_SECRET_PREVIOUS: `unrelated,${JWT_SECRET}` },
      database,
    });
    hasty = await TestApp.start({ env: { JWT_SECRET: NEW_SECRET }, database });
  });
  afterAll(async () => {
    await renewed.stop();
    await hasty.stop();
  });

  test('beside the previous one: what was issued before still counts', async () => {
    const account = await rind.signUp();
    expect((await getMe(account, renewed)).status).toBe(200);
    const second = await rotate(account.refreshToken, renewed);
    expect((await getMe(second, renewed)).status).toBe(200);
    // The new tokens are of the new secret alone, and a repeat gets the same.
    expect((await getMe(second, hasty)).status).toBe(200);
    const again = await rotate(account.refreshToken, renewed);
    expect(again.refreshToken).toBe(second.refreshToken);
    await expectAlive(await rotate(second.refreshToken, hasty), hasty);
  });

  test('a repeat of a successor of the old secret is the same, byte for byte', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken);
    const again = await rotate(account.refreshToken, renewed);
    expect(again.refreshToken).toBe(second.refreshToken);
    expect((await getMe(again, hasty)).status).toBe(200);
    await expectAlive(await rotate(second.refreshToken, renewed), hasty);
  });

  test('without the previous one all is refused, and no session ends', async () => {
    const account = await rind.signUp();
    const { status, body } = await getMe(account, hasty);
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    await expectRefused(account.refreshToken, 'refresh_token_invalid', hasty);
    await expectAlive(account);
  });

  test('an instance that does not have it yet refuses its tokens, and ends no session', async () => {
    const account = await rind.signUp();
    const second = await rotate(account.refreshToken, renewed);
    await expectRefused(second.refreshToken);
    expect((await getMe(second)).body.code).toBe('unauthenticated');
    await expectAlive(second, renewed);
  });
});

describe('the limit', () => {
  test('ten a minute for a session; what is not genuine does not count', async () => {
    const account: Account = await rind.signUp();
    const forged = `${account.refreshToken.slice(0, 40)}${'A'.repeat(30)}`;
    for (let count = 0; count < 20; count += 1) await expectRefused(forged);
    for (let count = 0; count < 10; count += 1) await rotate(account.refreshToken);
    const { status, headers, body } = await refresh(account.refreshToken);
    expect([status, body.code]).toEqual([429, 'rate_limited']);
    expect(headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
    expect((await stateOf(account)).refresh_counter).toBe(2);
    expect((await getMe(account)).status).toBe(200);
    // Each session has a budget of its own.
    await expectAlive(await rind.signUp());
  });
});
