import { randomUUID } from 'node:crypto';
import type { AuthResult, MfaRequired, Problem } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Authenticator } from '../support/authenticator.js';
import { type Account, TestApp } from '../support/test-app.js';

const BY_ADDRESS = 10;
const MAILS = 5;
const WRONG_CODES = 10;
const HOME = '198.51.100.1';
const STRANGER = '203.0.113.7';
const PASSWORD = 'a password for these tests';

/** Two instances; the strangers of most tests have as many addresses as they like. */
let rind: TestApp;
let second: TestApp;

beforeAll(async () => {
  const env = {
    TRUST_PROXY: '1',
    RATE_LIMIT_AUTH_PER_MINUTE: String(BY_ADDRESS),
    JWT_SECRET: 'the secret of these instances',
  };
  rind = await TestApp.start({ env });
  second = await TestApp.start({ env, database: rind.database });
});
beforeEach(() => rind.sql.query('TRUNCATE rate_limits'));
afterAll(async () => {
  await second.stop();
  await rind.stop();
});

interface Sent {
  readonly from?: string;
  readonly token?: string;
}

type Answer = Awaited<ReturnType<typeof post<Problem>>>;

let strangers = 0;

/** Another one each time, in a network of its own. */
function newAddress(): string {
  strangers += 1;
  return `192.0.${Math.floor(strangers / 250)}.${(strangers % 250) + 1}`;
}

function post<Body>(on: TestApp, route: string, body: object, { from, token }: Sent = {}) {
  return on.request<Body>('POST', route, {
    body,
    headers: { 'x-forwarded-for': from ?? newAddress() },
    ...(token !== undefined && { token }),
  });
}

/** All at once, by turns to both instances. */
const flood = (count: number, send: (on: TestApp, index: number) => Promise<Answer>) =>
  Promise.all(Array.from({ length: count }, (_, n) => send(n % 2 === 0 ? rind : second, n)));

/** Exactly so many are let through; the others are told how long to wait. */
function expectAdmitted(answers: readonly Answer[], admitted: number, longestSeconds: number) {
  const refused = answers.filter(({ status }) => status === 429);
  expect(answers.length - refused.length).toBe(admitted);
  for (const { body, headers } of refused) {
    expect(body.code).toBe('rate_limited');
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(longestSeconds);
  }
}

const someEmail = () => `${randomUUID()}@example.com`;

describe('from one address come exactly ten a minute, over all instances, of', () => {
  const token = 'x'.repeat(60);
  test.each<[string, () => object]>([
    ['/auth/login', () => ({ email: someEmail(), password: PASSWORD })],
    ['/auth/register', () => ({ email: someEmail(), password: PASSWORD, displayName: 'Ada' })],
    ['/auth/email/verify', () => ({ token })],
    ['/auth/email/resend', () => ({ email: someEmail() })],
    ['/auth/email/disown', () => ({ token })],
    ['/auth/password/forgot', () => ({ email: someEmail() })],
    ['/auth/password/reset', () => ({ token, password: PASSWORD })],
    ['/auth/mfa/verify', () => ({ mfaToken: token, code: '123456' })],
    ['/auth/oauth/exchange', () => ({ code: token, codeVerifier: token })],
    ['/auth/oauth/google/token', () => ({ idToken: token })],
  ])('%s', async (route, bodyOf) => {
    const from = newAddress();
    const answers = await flood(BY_ADDRESS + 6, (on) => post(on, route, bodyOf(), { from }));
    expectAdmitted(answers, BY_ADDRESS, 60);
    expect((await post(rind, route, bodyOf())).status).not.toBe(429);
  });
});

describe('from one address come exactly ten a minute, over all instances, of what asks for a password or a code:', () => {
  test.each([
    ['POST', '/auth/mfa/totp/activate'],
    ['DELETE', '/auth/mfa/totp'],
    ['POST', '/auth/mfa/recovery-codes'],
    ['DELETE', `/auth/identities/${randomUUID()}`],
    ['DELETE', '/users/me'],
    ['POST', '/users/me/password'],
    ['POST', '/users/me/email'],
  ])('%s %s', async (method, route) => {
    const { accessToken: token } = await rind.signUp();
    const from = newAddress();
    // Not even looked at before the limit; other limits begin with a look at what it says.
    const answers = await flood(BY_ADDRESS + 6, (on) =>
      on.request(method, route, { token, body: [], headers: { 'x-forwarded-for': from } }),
    );
    expectAdmitted(answers, BY_ADDRESS, 60);
  });
});

describe('to one address go exactly five mails an hour, over all instances, by', () => {
  test.each<[string, (email: string) => object]>([
    ['/auth/email/resend', (email) => ({ email })],
    ['/auth/password/forgot', (email) => ({ email })],
    ['/auth/register', (email) => ({ email, password: PASSWORD, displayName: 'Ada' })],
  ])('%s, whether somebody has it or not', async (route, bodyOf) => {
    const { user } = await rind.signUp();
    await rind.sql.query('TRUNCATE rate_limits');
    for (const email of [user.email, someEmail()]) {
      const answers = await flood(MAILS + 7, (on) => post(on, route, bodyOf(email)));
      expectAdmitted(answers, MAILS, 3600);
    }
  });

  test('all of them together', async () => {
    const email = someEmail();
    const routes = ['/auth/email/resend', '/auth/password/forgot'];
    const answers = await flood(MAILS + 7, (on, n) =>
      post(on, routes[n % 3 === 0 ? 1 : 0]!, { email }),
    );
    expectAdmitted(answers, MAILS, 3600);
  });
});

/** So many sign-ins that wait for a code as are needed for so many guesses: each takes five. */
async function beginSignIns({ user, password }: Account, guesses: number): Promise<string[]> {
  const body = { email: user.email, password };
  const begin = () => post<MfaRequired>(rind, '/auth/login', body, { from: HOME });
  const tokens: string[] = [];
  while (tokens.length * 5 < guesses) tokens.push((await begin()).body.mfaToken);
  return tokens;
}

async function floodCodes(account: Account, wrong: string): Promise<Answer[]> {
  const tokens = await beginSignIns(account, WRONG_CODES + 5);
  return flood(WRONG_CODES + 5, (on, n) =>
    post(on, '/auth/mfa/verify', { mfaToken: tokens[n % tokens.length]!, code: wrong }),
  );
}

test('an account takes exactly ten wrong codes an hour, over all sign-ins and instances', async () => {
  const account = await rind.signUp();
  const authenticator = await Authenticator.enrol(rind, account);
  const answers = await floodCodes(account, authenticator.wrongCode());
  expectAdmitted(answers, WRONG_CODES, 3600);
  expect(answers.filter(({ body }) => body.code === 'mfa_code_invalid')).toHaveLength(WRONG_CODES);
});

describe('while strangers flood every way into one account', () => {
  const deviceId = randomUUID();
  let ada: Account;
  let authenticator: Authenticator;

  beforeAll(async () => {
    const registered = await post<AuthResult>(
      rind,
      '/auth/register',
      { email: someEmail(), password: PASSWORD, displayName: 'Ada', device: { id: deviceId } },
      { from: HOME },
    );
    const { body } = registered;
    ada = { ...(body as Account), id: body.user.id, password: PASSWORD };
    authenticator = await Authenticator.enrol(rind, ada);
  });

  beforeEach(async () => {
    const { email } = ada.user;
    await floodCodes(ada, authenticator.wrongCode());
    await flood(12, (on) => post(on, '/auth/login', { email, password: 'not the right one' }));
    await flood(12, (on) => post(on, '/auth/password/forgot', { email }));
    await flood(12, (on) => post(on, '/auth/email/resend', { email }));
  });

  test('they are refused, by each', async () => {
    const { email } = ada.user;
    for (const [route, body] of [
      ['/auth/login', { email, password: PASSWORD }],
      ['/auth/password/forgot', { email }],
      ['/auth/email/resend', { email }],
    ] as const) {
      expectAdmitted([await post(rind, route, body, { from: STRANGER })], 0, 3600);
    }
  });

  test('the signed-in device reads, syncs, refreshes, and proves its password and its factor', async () => {
    const { accessToken: token, refreshToken } = ada;
    expect((await rind.request('GET', '/users/me', { token })).status).toBe(200);
    expect((await second.request('GET', '/sync/pull', { token })).status).toBe(200);
    const refreshed = await post<AuthResult>(
      second,
      '/auth/refresh',
      { refreshToken },
      { from: HOME },
    );
    expect(refreshed.status).toBe(200);
    Object.assign(ada, refreshed.body);
    const change = { currentPassword: PASSWORD, newPassword: PASSWORD };
    const code = await authenticator.freshCode();
    const changed = await post(
      rind,
      '/users/me/password',
      { ...change, code },
      {
        token: ada.accessToken,
        from: HOME,
      },
    );
    expect(changed.status).toBe(204);
  });

  test.each([
    ['on its own device, wherever that is', { from: STRANGER, device: { id: deviceId } }],
    ['on a new device at a place of its own', { from: HOME, device: { id: randomUUID() } }],
  ])('the owner signs in %s', async (_where, { from, device }) => {
    const body = { email: ada.user.email, password: PASSWORD, device };
    const { status, body: answer } = await post<MfaRequired>(rind, '/auth/login', body, { from });
    expect([status, answer.mfaRequired]).toEqual([200, true]);
  });
});
