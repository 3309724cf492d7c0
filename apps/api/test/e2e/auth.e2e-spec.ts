import { randomUUID } from 'node:crypto';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { argon2id, hash } from 'argon2';
import jwt from 'jsonwebtoken';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { DomainError } from '../../src/platform/errors/domain.error.js';
import { UsersRepository } from '../../src/users/users.repository.js';
import { settle } from '../support/notices.js';
import { hold, type Seam, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const JWT_SECRET = 'a secret of at least thirty-two characters';
const PASSWORD = 'correct horse battery';
const SESSION_LIMIT = 3;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ISO_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let rind: TestApp;
const seams: Seam[] = [];

beforeAll(async () => {
  rind = await TestApp.start({ env: { JWT_SECRET, SESSION_LIMIT: String(SESSION_LIMIT) } });
});
afterEach(() => {
  seams.splice(0).forEach((seam) => seam.release());
  jest.restoreAllMocks();
});
afterAll(() => rind.stop());

function holdAt<Service extends object>(
  service: Service,
  method: keyof Service & string,
  moment: 'before' | 'after',
): Seam {
  const seam = hold(service, method, moment);
  seams.push(seam);
  return seam;
}

const newEmail = () => `${randomUUID()}@example.com`;

const register = (body: object) =>
  rind.request<AuthResult & Problem>('POST', '/auth/register', {
    body: { email: newEmail(), password: PASSWORD, displayName: 'Ada', ...body },
  });

const login = (body: object) =>
  rind.request<AuthResult & Problem>('POST', '/auth/login', {
    body: { password: PASSWORD, ...body },
  });

const loginOf = ({ user }: Account, device?: object) =>
  login({ email: user.email, ...(device && { device }) });

const getMe = (token: string | undefined) =>
  rind.request<AuthResult['user'] & Problem>('GET', '/users/me', { token: token ?? '' });

const refresh = (refreshToken: string | undefined) =>
  rind.request<AuthResult & Problem>('POST', '/auth/refresh', { body: { refreshToken } });

async function sessionIdsOf(userId: string): Promise<string[]> {
  const { rows } = await rind.sql.query<{ id: string }>(
    'SELECT id FROM sessions WHERE user_id = $1 ORDER BY id',
    [userId],
  );
  return rows.map(({ id }) => id);
}

async function expectEnded({ accessToken, refreshToken }: Partial<AuthResult>): Promise<void> {
  await settle(rind);
  expect(await getMe(accessToken)).toMatchObject({ status: 401, body: { code: 'session_ended' } });
  expect(await refresh(refreshToken)).toMatchObject({
    status: 401,
    body: { code: 'refresh_token_invalid' },
  });
}

async function expectAlive({ accessToken, refreshToken }: Partial<AuthResult>): Promise<void> {
  expect((await getMe(accessToken)).status).toBe(200);
  expect((await refresh(refreshToken)).status).toBe(200);
}

describe('registering', () => {
  test('answers the user, the session and both tokens', async () => {
    const device = {
      id: randomUUID(),
      name: "Ada's Pixel",
      platform: 'android',
      appVersion: '1.4.0',
    };
    const local = randomUUID().toUpperCase();
    const { status, headers, body } = await register({
      email: `  ${local}@Example.COM `,
      displayName: ' Ada Lovelace ',
      language: 'de',
      device,
    });
    expect(status).toBe(201);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('no-store');
    const time = expect.stringMatching(ISO_UTC);
    expect(body).toEqual({
      user: {
        id: expect.stringMatching(UUID_V7),
        email: `${local}@example.com`.toLowerCase(),
        emailVerified: false,
        displayName: 'Ada Lovelace',
        language: 'de',
        roles: ['user'],
        createdAt: time,
        updatedAt: time,
      },
      session: {
        id: expect.stringMatching(UUID_V7),
        createdAt: time,
        expiresAt: time,
        device,
      },
      accessToken: expect.any(String),
      accessTokenExpiresAt: time,
      refreshToken: expect.stringMatching(/^[\w-]+$/),
    });
    const lifetimeMs = Date.parse(body.session.expiresAt) - Date.parse(body.session.createdAt);
    expect(lifetimeMs).toBe(30 * 86_400_000);
    expect(jwt.verify(body.accessToken!, JWT_SECRET, { complete: true })).toMatchObject({
      header: { alg: 'HS256', kid: expect.stringMatching(/^[0-9a-f]{12}$/) },
      payload: {
        iss: 'rind',
        aud: 'rind',
        sub: body.user.id,
        sid: body.session.id,
        rtc: 1,
        exp: Date.parse(body.accessTokenExpiresAt) / 1000,
      },
    });
  });

  test('needs no device and no language', async () => {
    const { status, body } = await register({});
    expect(status).toBe(201);
    expect(body).toMatchObject({ user: { language: 'en' }, session: { device: null } });
    expect(await getMe(body.accessToken)).toMatchObject({ status: 200, body: body.user });
  });

  test.each([
    ['Password2026', 'password_common'],
    ['my name is lovelace', 'password_contains_email'],
    ['open sesame, Rind', 'password_contains_app_name'],
  ])('%s is refused, with a pointer: %s', async (password, code) => {
    const email = 'lovelace@example.com';
    const { status, body } = await register({ email, password });
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toEqual([{ pointer: '/password', code, message: expect.any(String) }]);
    const { rows } = await rind.sql.query('SELECT FROM users WHERE email = $1', [email]);
    expect(rows).toHaveLength(0);
  });

  test('an address in other letter case is the same address', async () => {
    const email = newEmail();
    expect((await register({ email })).status).toBe(201);
    const { status, headers, body } = await register({ email: email.toUpperCase() });
    expect(status).toBe(409);
    expect(headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(body.code).toBe('email_already_used');
  });

  test('two at once with one address: one wins, and of the other nothing is left', async () => {
    const email = newEmail();
    const count = async () => {
      const { rows } = await rind.sql.query<Record<string, number>>(
        `SELECT (SELECT count(*)::int FROM users) AS users,
                (SELECT count(*)::int FROM user_roles) AS roles,
                (SELECT count(*)::int FROM sync_clocks) AS clocks,
                (SELECT count(*)::int FROM sessions) AS sessions`,
      );
      return rows[0]!;
    };
    const before = await count();
    const seam = holdAt(rind.app.get(UsersRepository), 'create', 'after');
    const first = register({ email });
    await seam.reached;
    const second = register({ email });
    await untilBlocked(rind.sql, second);
    seam.release();
    const answers = await Promise.all([first, second]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 409]));
    expect(await count()).toEqual({
      users: before['users']! + 1,
      roles: before['roles']! + 1,
      clocks: before['clocks']! + 1,
      sessions: before['sessions']! + 1,
    });
  });

  test('a refusal after the user was written leaves nothing, and the address is free again', async () => {
    const email = newEmail();
    const refusal = new DomainError('rate_limited');
    jest.spyOn(rind.app.get(SessionsRepository), 'create').mockRejectedValueOnce(refusal);
    expect((await register({ email })).status).toBe(429);
    const { rows } = await rind.sql.query('SELECT FROM users WHERE email = $1', [email]);
    expect(rows).toHaveLength(0);
    expect((await register({ email })).status).toBe(201);
  });
});

describe('signing in', () => {
  test('by the right password, whatever the letter case of the address', async () => {
    const account = await rind.signUp();
    const { status, body } = await login({ email: account.user.email.toUpperCase() });
    expect(status).toBe(200);
    expect(body.user).toEqual(account.user);
    expect(body.session.id).not.toBe(account.session.id);
    await expectAlive(body);
    await expectAlive(account);
  });

  test('a wrong password and an unknown address get byte for byte the same answer', async () => {
    const { user } = await rind.signUp();
    const refusal = async (body: object) => {
      const response = await fetch(`${rind.url}/api/v1/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': 'same' },
        body: JSON.stringify(body),
      });
      const { date, ...headers } = Object.fromEntries(response.headers);
      expect(date).toBeDefined();
      // The budget counts down; what it is spent on shows nowhere.
      delete headers['ratelimit'];
      return { status: response.status, headers, text: await response.text() };
    };
    const wrong = await refusal({ email: user.email, password: 'not the password' });
    const unknown = await refusal({ email: newEmail(), password: PASSWORD });
    expect(wrong.status).toBe(401);
    expect(JSON.parse(wrong.text)).toMatchObject({ code: 'invalid_credentials' });
    expect(unknown).toEqual(wrong);
  });

  test('an account without a password is refused like an unknown one', async () => {
    const { id, user } = await rind.signUp();
    await rind.sql.query('UPDATE users SET password_hash = NULL WHERE id = $1', [id]);
    const { status, body } = await login({ email: user.email, password: 'null' });
    expect([status, body.code]).toEqual([401, 'invalid_credentials']);
  });

  test('a deactivated account is named only to who knows its password', async () => {
    const account = await rind.signUp();
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [account.id]);
    const right = await loginOf(account);
    expect([right.status, right.body.code]).toEqual([403, 'account_deactivated']);
    const wrong = await login({ email: account.user.email, password: 'not the password' });
    expect([wrong.status, wrong.body.code]).toEqual([401, 'invalid_credentials']);
    expect(await sessionIdsOf(account.id)).toEqual([account.session.id]);
  });

  test('a password is the same however its letters are composed', async () => {
    const composed = 'Gr\u00fc\u00dfe aus K\u00f6ln';
    const decomposed = composed.normalize('NFD');
    expect(composed).not.toBe(decomposed);
    const email = newEmail();
    expect((await register({ email, password: decomposed })).status).toBe(201);
    expect((await login({ email, password: composed })).status).toBe(200);
    // NFKC joins compatibility forms, too, such as the full-width letters of a Japanese keyboard.
    const fullWidth = composed.replace('G', '\uff27').replace('K', '\uff2b');
    expect((await login({ email, password: fullWidth })).status).toBe(200);
    expect((await login({ email, password: composed.toLowerCase() })).status).toBe(401);
  });

  test('a password is compared to its last character, past NUL and past every length', async () => {
    const email = newEmail();
    const password = `${'x'.repeat(100)}\0${'y'.repeat(27)}`;
    expect((await register({ email, password })).status).toBe(201);
    expect((await login({ email, password })).status).toBe(200);
    expect((await login({ email, password: `${password.slice(0, -1)}z` })).status).toBe(401);
    expect((await login({ email, password: password.slice(0, 100) })).status).toBe(401);
  });

  test('a hash of other parameters is replaced by one of today, once', async () => {
    const account = await rind.signUp();
    const hashOf = async () => {
      const { rows } = await rind.sql.query('SELECT password_hash FROM users WHERE id = $1', [
        account.id,
      ]);
      return String(rows[0].password_hash);
    };
    const weak = await hash(PASSWORD, {
      type: argon2id,
      memoryCost: 8192,
      timeCost: 1,
      parallelism: 1,
    });
    await rind.sql.query('UPDATE users SET password_hash = $2 WHERE id = $1', [account.id, weak]);
    expect((await login({ email: account.user.email, password: 'wrong one' })).status).toBe(401);
    expect(await hashOf()).toBe(weak);
    expect((await loginOf(account)).status).toBe(200);
    const renewed = await hashOf();
    expect(renewed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect((await loginOf(account)).status).toBe(200);
    expect(await hashOf()).toBe(renewed);
  });

  test('a password that changed during a sign-in is not undone by the better hash of the old one', async () => {
    const account = await rind.signUp();
    const weak = await hash(PASSWORD, { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    await rind.sql.query('UPDATE users SET password_hash = $2 WHERE id = $1', [account.id, weak]);
    const seam = holdAt(rind.app.get(UsersRepository), 'replacePasswordHash', 'before');
    const signingIn = loginOf(account);
    await seam.reached;
    const other = await hash('another password', { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    await rind.sql.query('UPDATE users SET password_hash = $2 WHERE id = $1', [account.id, other]);
    seam.release();
    await signingIn;
    const { rows } = await rind.sql.query('SELECT password_hash FROM users WHERE id = $1', [
      account.id,
    ]);
    expect(rows[0].password_hash).toBe(other);
  });

  test('an account that is deleted during the sign-in is unknown', async () => {
    const account = await rind.signUp();
    const seam = holdAt(rind.app.get(SessionsRepository), 'lockUser', 'before');
    const signingIn = loginOf(account);
    await seam.reached;
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    seam.release();
    expect(await signingIn).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } });
  });
});

describe('one session per device', () => {
  test('signing in again on a device replaces its session, in any spelling of its id', async () => {
    const device = { id: randomUUID() };
    const account = await rind.signUp({ deviceId: device.id });
    // The principal of the old token is cached now, and must not outlive its session.
    expect((await getMe(account.accessToken)).status).toBe(200);
    const again = await loginOf(account, { id: device.id.toUpperCase(), name: 'renamed' });
    expect(again.status).toBe(200);
    expect(again.body.session.device).toEqual({ id: device.id, name: 'renamed' });
    expect(await sessionIdsOf(account.id)).toEqual([again.body.session.id]);
    await expectEnded(account);
    await expectAlive(again.body);
  });

  test('other devices, and sign-ins without a device, keep their sessions', async () => {
    const account = await rind.signUp({ deviceId: randomUUID() });
    const other = await loginOf(account, { id: randomUUID() });
    const without = await loginOf(account);
    for (const { body } of [other, without]) await expectAlive(body);
    await expectAlive(account);
  });

  test("another user's device id takes nothing from that user", async () => {
    const device = { id: randomUUID() };
    const owner = await rind.signUp({ deviceId: device.id });
    const stranger = await rind.signUp();
    expect((await loginOf(stranger, device)).status).toBe(200);
    expect((await register({ device })).status).toBe(201);
    await expectAlive(owner);
  });

  test('sign-ins of one device at the same moment leave exactly one session', async () => {
    const device = { id: randomUUID() };
    const account = await rind.signUp({ deviceId: device.id });
    const seam = holdAt(rind.app.get(SessionsRepository), 'deleteOfDevice', 'after');
    const first = loginOf(account, device);
    await seam.reached;
    const others = [loginOf(account, device), loginOf(account, device)];
    await untilBlocked(rind.sql, ...others);
    seam.release();
    const answers = await Promise.all([first, ...others]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const left = await sessionIdsOf(account.id);
    expect(left).toHaveLength(1);
    for (const { body } of answers) {
      if (body.session.id === left[0]) await expectAlive(body);
      else await expectEnded(body);
    }
  });

  test('beyond the limit expired sessions go first, then those used longest ago', async () => {
    const account = await rind.signUp();
    const opened = [];
    for (let count = 1; count < SESSION_LIMIT; count += 1)
      opened.push((await loginOf(account)).body);
    const [second, third] = opened;
    // The first sign-in was used last, and yet it is the first to go: it has expired.
    const use = (id: string, usedAgo: string, expiresIn: string) =>
      rind.sql.query(
        `UPDATE sessions SET last_used_at = now() - $2::interval, expires_at = now() + $3::interval
         WHERE id = $1`,
        [id, usedAgo, expiresIn],
      );
    await use(account.session.id, '1 second', '-1 second');
    await use(second!.session.id, '1 hour', '1 day');
    await use(third!.session.id, '2 hours', '1 day');
    const fourth = (await loginOf(account)).body;
    expect(new Set(await sessionIdsOf(account.id))).toEqual(
      new Set([second!, third!, fourth].map(({ session }) => session.id)),
    );
    const fifth = (await loginOf(account)).body;
    expect(new Set(await sessionIdsOf(account.id))).toEqual(
      new Set([second!, fourth, fifth].map(({ session }) => session.id)),
    );
    await expectEnded(third!);
    await expectAlive(second!);
  });

  test('the limit never takes the session that is being opened, whatever the clocks say', async () => {
    const account = await rind.signUp();
    for (let count = 1; count < SESSION_LIMIT; count += 1) await loginOf(account);
    await rind.sql.query(
      `UPDATE sessions SET last_used_at = now() + interval '1 minute' WHERE user_id = $1`,
      [account.id],
    );
    const { body } = await loginOf(account);
    expect(await sessionIdsOf(account.id)).toHaveLength(SESSION_LIMIT);
    await expectAlive(body);
  });
});

describe('the end of a sign-in', () => {
  test('logging out ends this session and no other', async () => {
    const account = await rind.signUp();
    const other = await loginOf(account);
    const { status, headers, body } = await rind.request('POST', '/auth/logout', {
      token: account.accessToken,
    });
    expect([status, body, headers.get('content-type')]).toEqual([204, null, null]);
    await expectEnded(account);
    await expectAlive(other.body);
    const again = await rind.request('POST', '/auth/logout', { token: account.accessToken });
    expect([again.status, again.body.code]).toEqual([401, 'session_ended']);
  });

  test('the user is answered as of now', async () => {
    const account = await rind.signUp();
    await rind.sql.query(
      `UPDATE users SET email_verified_at = now(), display_name = 'Ada', language = 'de'
       WHERE id = $1`,
      [account.id],
    );
    expect((await getMe(account.accessToken)).body).toEqual({
      ...account.user,
      emailVerified: true,
      displayName: 'Ada',
      language: 'de',
    });
  });

  test('a deleted account has no session, and its address is free', async () => {
    const account = await rind.signUp();
    expect((await getMe(account.accessToken)).body).toEqual(account.user);
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    await expectEnded(account);
    const { status, body } = await loginOf(account);
    expect([status, body.code]).toEqual([401, 'invalid_credentials']);
    expect((await register({ email: account.user.email })).status).toBe(201);
  });
});

describe('access tokens', () => {
  const claims = () => ({
    sub: randomUUID(),
    sid: randomUUID(),
    rtc: 1,
    iss: 'rind',
    aud: 'rind',
    exp: Math.floor(Date.now() / 1000) + 900,
  });
  const sign = (change: object = {}, secret = JWT_SECRET, options: jwt.SignOptions = {}) =>
    jwt.sign({ ...claims(), ...change }, secret, options);
  const encode = (part: unknown) =>
    Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

  test('a token of a session that never was is refused', async () => {
    expect(await getMe(sign())).toMatchObject({ status: 401, body: { code: 'session_ended' } });
  });

  test('an expired token says so', async () => {
    const { status, body } = await getMe(sign({ exp: Math.floor(Date.now() / 1000) - 1 }));
    expect([status, body.code]).toEqual([401, 'access_token_expired']);
  });

  test.each([
    ['no token', () => ''],
    ['no JWT', () => 'nonsense'],
    ['two dots only', () => '..'],
    ['another secret', () => sign({}, 'another secret of thirty-two characters')],
    ['an expired token of another secret', () => sign({ exp: 1 }, 'another secret')],
    ['another issuer', () => sign({ iss: 'else' })],
    ['another audience', () => sign({ aud: 'else' })],
    ['a token that is not valid yet', () => sign({ nbf: Math.floor(Date.now() / 1000) + 60 })],
    ['another algorithm', () => sign({}, JWT_SECRET, { algorithm: 'HS512' })],
    ['no algorithm', () => `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims())}.`],
    ['an unknown key', () => sign({}, 'another secret', { keyid: '000000000000' })],
    ['a subject that is no UUID', () => sign({ sub: "' OR 1=1" })],
    ['a token that was cut off', () => sign().slice(0, -1)],
    ['a token without its signature', () => sign().split('.').slice(0, 2).join('.')],
    ['trailing data', () => `${sign()}=`],
    ['no session', () => sign({ sid: undefined })],
    ['a counter that is no number', () => sign({ rtc: '1' })],
    [
      'a payload that is not JSON',
      () => `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode('not json')}.${encode('signature')}`,
    ],
    [
      'a header that is not JSON',
      () => `${encode('not json')}.${encode(claims())}.${encode('signature')}`,
    ],
    ['a header that is null', () => `${encode('null')}.${encode(claims())}.${encode('signature')}`],
    [
      'a key id that is no text',
      () => `${encode({ alg: 'HS256', kid: {} })}.${encode(claims())}.${encode('signature')}`,
    ],
  ])('refused: %s', async (_name, token) => {
    const { status, headers, body } = await getMe(token());
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    expect(headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    // A public route does not care.
    const health = await rind.request('GET', '/health', { token: token() });
    expect(health.status).toBe(200);
  });

  test.each(['Basic', 'Token'])('refused: the scheme %s', async (scheme) => {
    const { accessToken } = await rind.signUp();
    const { status, body } = await rind.request('GET', '/users/me', {
      headers: { authorization: `${scheme} ${accessToken}` },
    });
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
  });

  test("a token whose user and session don't belong together is refused", async () => {
    const [one, other] = [await rind.signUp(), await rind.signUp()];
    const token = sign({ sub: one.id, sid: other.session.id });
    expect(await getMe(token)).toMatchObject({ status: 401, body: { code: 'session_ended' } });
  });

  test('the query and the body carry no token', async () => {
    const { accessToken } = await rind.signUp();
    const { status } = await rind.request('GET', `/users/me?access_token=${accessToken}`);
    expect(status).toBe(401);
  });
});

describe('input that breaks the schema', () => {
  const faulty: Array<[name: string, change: object, pointers: string[]]> = [
    ['no address', { email: undefined }, ['/email']],
    ['an address that is a number', { email: 1 }, ['/email']],
    ['an address that is a list', { email: ['ada@example.com'] }, ['/email']],
    ['an address that is an object', { email: { $ne: null } }, ['/email']],
    ['an address that is null', { email: null }, ['/email']],
    ['an empty address', { email: '' }, ['/email']],
    ['an address without a domain', { email: 'ada' }, ['/email']],
    ['an address with NUL', { email: 'a\0da@example.com' }, ['/email']],
    ['an address with a line break', { email: 'ada@example.com\r\nBcc: b@b.de' }, ['/email']],
    ['an address of 255 characters', { email: `${'a'.repeat(243)}@example.com` }, ['/email']],
    ['an address of 50 kB', { email: `${'a'.repeat(50_000)}@example.com` }, ['/email']],
    ['no password', { password: undefined }, ['/password']],
    ['a password that is a number', { password: 1234567890 }, ['/password']],
    ['a password that is a list', { password: [PASSWORD] }, ['/password']],
    ['an empty password', { password: '' }, ['/password']],
    ['a password of 50 kB', { password: 'x'.repeat(50_000) }, ['/password']],
    ['a device that is a text', { device: 'phone' }, ['/device']],
    ['a device that is a list', { device: [] }, ['/device']],
    ['a device without an id', { device: { name: 'Pixel' } }, ['/device/id']],
    ['a device id that is no UUID', { device: { id: 'phone' } }, ['/device/id']],
    ['a device id with NUL', { device: { id: `${randomUUID()}\0` } }, ['/device/id']],
    [
      'device texts with control characters',
      { device: { id: randomUUID(), name: 'a\0', platform: '\u0085b', appVersion: 'c\u001b[1m1' } },
      ['/device/name', '/device/platform', '/device/appVersion'],
    ],
    [
      'a device name of 101 characters',
      { device: { id: randomUUID(), name: 'x'.repeat(101) } },
      ['/device/name'],
    ],
    ['two faults', { email: 'ada', password: '' }, ['/email', '/password']],
  ];
  const faultyOfRegister: typeof faulty = [
    ['a password of 9 characters', { password: 'x'.repeat(9) }, ['/password']],
    ['a password of 129 characters', { password: 'x'.repeat(129) }, ['/password']],
    // NFKC makes 18 characters of the first, and one of the two of the second.
    ['a password that is too long in NFKC', { password: '\ufdfa'.repeat(10) }, ['/password']],
    ['a password that is too short in NFKC', { password: 'u\u0308'.repeat(9) }, ['/password']],
    ['no name', { displayName: undefined }, ['/displayName']],
    ['a name of spaces', { displayName: '   ' }, ['/displayName']],
    ['a name of 101 characters', { displayName: 'x'.repeat(101) }, ['/displayName']],
    ['a name with NUL', { displayName: 'A\0da' }, ['/displayName']],
    ['a name with a line break', { displayName: 'A\nda' }, ['/displayName']],
    ['an unknown language', { language: 'fr' }, ['/language']],
    ['a language that is null', { language: null }, ['/language']],
  ];

  async function expectRefused(
    answer: Promise<{ status: number; body: Problem }>,
    pointers: string[],
  ): Promise<void> {
    const { status, body } = await answer;
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect([...new Set(body.errors?.map(({ pointer }) => pointer))]).toEqual(pointers);
  }

  test.each([...faulty, ...faultyOfRegister])('registering: %s', (_name, change, pointers) =>
    expectRefused(register(change), pointers),
  );

  test.each(faulty)('signing in: %s', (_name, change, pointers) =>
    expectRefused(login({ email: newEmail(), ...change }), pointers),
  );

  test.each([
    ['no token', {}],
    ['null', { refreshToken: null }],
    ['a number', { refreshToken: 1 }],
    ['a list', { refreshToken: ['token'] }],
    ['an empty text', { refreshToken: '' }],
    ['513 characters', { refreshToken: 'x'.repeat(513) }],
  ])('refreshing: %s', (_name, body) =>
    expectRefused(rind.request('POST', '/auth/refresh', { body }), ['/refreshToken']),
  );

  test.each(['/auth/register', '/auth/login', '/auth/refresh'])('%s: no object', async (path) => {
    for (const body of [[], null, 'text', 1].map((value) => JSON.stringify(value))) {
      await expectRefused(rind.request('POST', path, { body }), ['']);
    }
    const nothing = await rind.request('POST', path);
    expect([nothing.status, nothing.body.code]).toEqual([422, 'validation_failed']);
    const unreadable = await rind.request('POST', path, { body: '{"email":' });
    expect([unreadable.status, unreadable.body.code]).toEqual([400, 'malformed_request']);
  });

  test.each([10, 128])('a password of %i characters is accepted', async (length) => {
    const [email, password] = [newEmail(), `${'x'.repeat(length - 1)}y`];
    expect((await register({ email, password })).status).toBe(201);
    expect((await login({ email, password })).status).toBe(200);
  });

  test('unknown keys are ignored, and give no right', async () => {
    const { status, body } = await register({
      id: randomUUID(),
      isActive: false,
      emailVerified: true,
      emailVerifiedAt: '2026-01-01T00:00:00.000Z',
      roles: ['admin'],
      passwordHash: 'x',
      constructor: { roles: ['admin'] },
      device: { id: randomUUID(), userId: randomUUID(), refreshCounter: 9 },
    });
    expect(status).toBe(201);
    expect(body.user).toMatchObject({ emailVerified: false, roles: ['user'] });
    expect(Object.keys(body.session.device!)).toEqual(['id']);
    expect(body.session.id).toMatch(UUID);
    await expectAlive(body);
  });

  test('a name may be written in any script', async () => {
    const displayName = 'Ådå 王小明 🧹 علي';
    expect((await register({ displayName })).body.user).toMatchObject({ displayName });
  });

  test('a user agent of any kind and length is no hindrance', async () => {
    const email = newEmail();
    for (const userAgent of ['', '\u00ff\u0080\u00a0x', 'x'.repeat(4000)]) {
      const { status } = await rind.request('POST', '/auth/register', {
        body: { email: newEmail(), password: PASSWORD, displayName: email },
        headers: { 'user-agent': userAgent },
      });
      expect(status).toBe(201);
    }
  });
});
