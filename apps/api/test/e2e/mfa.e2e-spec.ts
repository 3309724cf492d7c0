import { randomUUID } from 'node:crypto';
import type {
  AuthResult,
  MfaRequired,
  Problem,
  RecoveryCodes,
  TotpEnrolment,
} from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { AddressProofsService } from '../../src/auth/address-proofs.service.js';
import { FactorsRepository } from '../../src/auth/mfa/factors.repository.js';
import { PendingSignInsRepository } from '../../src/auth/mfa/pending-sign-ins.repository.js';
import { SecondFactorService } from '../../src/auth/mfa/second-factor.service.js';
import { ReauthenticationService } from '../../src/auth/reauthentication.service.js';
import { SessionsService } from '../../src/auth/sessions.service.js';
import { appOf, Authenticator } from '../support/authenticator.js';
import { hold, type Seam, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

type Answer = MfaRequired & AuthResult & Problem;

let rind: TestApp;
const seams: Seam[] = [];

beforeAll(async () => {
  rind = await TestApp.start({
    env: { ENCRYPTION_KEY: 'the first key', TOTP_ISSUER: 'Rind Notes' },
  });
});
afterEach(() => {
  seams.splice(0).forEach((seam) => seam.release());
  jest.restoreAllMocks();
});
afterAll(() => rind.stop());

const login = ({ user, password }: Account, device?: object) =>
  rind.request<Answer>('POST', '/auth/login', {
    body: { email: user.email, password, ...(device && { device }) },
  });

const verify = (mfaToken: string, code: string) =>
  rind.request<Answer>('POST', '/auth/mfa/verify', { body: { mfaToken, code } });

const enrol = ({ accessToken: token }: Account, body: object = {}) =>
  rind.request<TotpEnrolment & Problem>('POST', '/auth/mfa/totp', { token, body });

const activate = ({ accessToken: token }: Account, code: string) =>
  rind.request<RecoveryCodes & Problem>('POST', '/auth/mfa/totp/activate', {
    token,
    body: { code },
  });

const remove = ({ accessToken: token }: Account, body: object) =>
  rind.request('DELETE', '/auth/mfa/totp', { token, body });

const renew = ({ accessToken: token }: Account, code: string) =>
  rind.request<RecoveryCodes & Problem>('POST', '/auth/mfa/recovery-codes', {
    token,
    body: { code },
  });

const getMe = (token: string) => rind.request('GET', '/users/me', { token });

const codeOf = ({ status, body }: { status: number; body: Problem }) => [status, body?.code];

async function signUpVerified(): Promise<Account> {
  const account = await rind.signUp();
  await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [account.id]);
  return account;
}

async function signUpEnrolled(): Promise<{ account: Account; authenticator: Authenticator }> {
  const account = await rind.signUp();
  return { account, authenticator: await Authenticator.enrol(rind, account) };
}

async function getMfaToken(account: Account, device?: object): Promise<string> {
  const { status, body } = await login(account, device);
  expect(status).toBe(200);
  return body.mfaToken;
}

/** As if the sign-in had been longer ago than a recent one may be. */
const age = ({ session }: Account) =>
  rind.sql.query(`UPDATE sessions SET created_at = now() - interval '11 minutes' WHERE id = $1`, [
    session.id,
  ]);

const count = async (table: string, userId: string) => {
  const { rows } = await rind.sql.query(
    `SELECT count(*)::int AS n FROM ${table} WHERE user_id = $1`,
    [userId],
  );
  return rows[0].n as number;
};

async function eventsOf(userId: string): Promise<string[]> {
  const { rows } = await rind.sql.query(
    'SELECT action, reason, detail FROM audit_events WHERE user_id = $1 ORDER BY id',
    [userId],
  );
  return rows.map(({ action, reason, detail }) =>
    [action, reason, detail?.factor].filter(Boolean).join(' '),
  );
}

describe('enrolling', () => {
  test('shows the secret, and asks for nothing before it is activated', async () => {
    const account = await signUpVerified();
    const { status, headers, body } = await enrol(account);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      otpauthUrl: expect.stringMatching(/^otpauth:\/\/totp\//),
      secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
    });
    const app = appOf(body);
    expect(app).toMatchObject({ issuer: 'Rind Notes', label: account.user.email });
    expect(app.secret.base32).toBe(body.secret);
    expect((await login(account)).body.accessToken).toEqual(expect.any(String));
  });

  test('counts from the first code on, and gives ten recovery codes', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const { status, body } = await activate(account, app.generate());
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['recoveryCodes']);
    expect(new Set(body.recoveryCodes).size).toBe(10);
    expect((await login(account)).body).toEqual({
      mfaRequired: true,
      mfaToken: expect.stringMatching(/^[\w-]{43}$/),
      methods: ['totp', 'recovery_code'],
    });
    expect(await eventsOf(account.id)).toContain('factor_added totp');
    // The device that enrolled stays signed in.
    expect((await getMe(account.accessToken)).status).toBe(200);
  });

  test('needs a verified address', async () => {
    const account = await rind.signUp();
    expect(codeOf(await enrol(account))).toEqual([403, 'email_not_verified']);
    expect(await count('totp_factors', account.id)).toBe(0);
  });

  test('needs the password or a recent sign-in', async () => {
    const account = await signUpVerified();
    await age(account);
    expect(codeOf(await enrol(account))).toEqual([403, 'reauthentication_required']);
    const wrong = await enrol(account, { password: 'not the password' });
    expect(codeOf(wrong)).toEqual([403, 'reauthentication_failed']);
    expect((await enrol(account, { password: account.password })).status).toBe(200);
  });

  test('again replaces a secret that was not activated, and no other', async () => {
    const account = await signUpVerified();
    const first = appOf((await enrol(account)).body);
    const second = appOf((await enrol(account)).body);
    expect(codeOf(await activate(account, first.generate()))).toEqual([403, 'mfa_code_invalid']);
    expect((await activate(account, second.generate())).status).toBe(200);
    expect(codeOf(await enrol(account))).toEqual([409, 'mfa_already_enrolled']);
    expect(codeOf(await activate(account, second.generate()))).toEqual([
      409,
      'mfa_already_enrolled',
    ]);
  });

  test('that is replaced while its code is checked is not activated', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const seam = hold(rind.app.get(FactorsRepository), 'activate', 'before');
    seams.push(seam);
    const activating = activate(account, app.generate());
    await seam.reached;
    expect((await enrol(account)).status).toBe(200);
    seam.release();
    expect(codeOf(await activating)).toEqual([403, 'mfa_code_invalid']);
    expect((await login(account)).body.mfaToken).toBeUndefined();
  });

  test('that is activated while another secret is proposed keeps its secret', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const seam = hold(rind.app.get(FactorsRepository), 'propose', 'before');
    seams.push(seam);
    const enrolling = enrol(account);
    await seam.reached;
    const { status, body } = await activate(account, app.generate());
    expect(status).toBe(200);
    seam.release();
    expect(codeOf(await enrolling)).toEqual([409, 'mfa_already_enrolled']);
    expect((await verify(await getMfaToken(account), body.recoveryCodes[0]!)).status).toBe(200);
  });

  test('comes to nothing when the session ends before it is activated', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const seam = hold(rind.app.get(SecondFactorService), 'guess', 'after');
    seams.push(seam);
    const activating = activate(account, app.generate());
    await seam.reached;
    // As its owner does with a device that was stolen.
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    seam.release();
    expect(codeOf(await activating)).toEqual([401, 'session_ended']);
    expect((await login(account)).body.mfaRequired).toBeUndefined();
  });

  test('is activated once by two codes at once', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const answers = await Promise.all([
      activate(account, app.generate()),
      activate(account, app.generate()),
    ]);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await count('recovery_codes', account.id)).toBe(10);
  });

  test('is not there to be activated, renewed or removed before it began', async () => {
    const account = await signUpVerified();
    expect(codeOf(await activate(account, '123456'))).toEqual([404, 'not_found']);
    expect(codeOf(await renew(account, '123456'))).toEqual([404, 'not_found']);
    expect(codeOf(await remove(account, { code: '123456' }))).toEqual([404, 'not_found']);
    await enrol(account);
    expect(codeOf(await renew(account, '123456'))).toEqual([404, 'not_found']);
    expect(codeOf(await remove(account, { code: '123456' }))).toEqual([404, 'not_found']);
  });

  test("is one's own: a code of somebody else's app activates nothing", async () => {
    const [account, other] = [await signUpVerified(), await signUpVerified()];
    await enrol(account);
    const app = appOf((await enrol(other)).body);
    expect(codeOf(await activate(account, app.generate()))).toEqual([403, 'mfa_code_invalid']);
  });
});

describe('signing in with a second factor', () => {
  test('takes a code of the app, and opens the session of the device that began', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const device = { id: randomUUID(), name: 'Pixel', platform: 'android' };
    const mfaToken = await getMfaToken(account, device);
    expect(await count('sessions', account.id)).toBe(1);
    const { status, body } = await verify(mfaToken, await authenticator.freshCode());
    expect(status).toBe(200);
    expect(body).toMatchObject({ user: { id: account.id }, session: { device } });
    expect((await getMe(body.accessToken!)).status).toBe(200);
    expect(await count('pending_sign_ins', account.id)).toBe(0);
    expect((await eventsOf(account.id)).at(-1)).toBe('signed_in password totp');
  });

  test('puts the tokens into cookies where the browser asks for that', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const { status, headers, body } = await rind.request<Answer>('POST', '/auth/mfa/verify', {
      headers: { 'x-token-transport': 'cookie' },
      body: { mfaToken: await getMfaToken(account), code: await authenticator.freshCode() },
    });
    expect(status).toBe(200);
    expect(body.accessToken ?? body.refreshToken).toBeUndefined();
    expect(headers.getSetCookie()).toHaveLength(2);
  });

  test('takes a recovery code, once, however it is spelled', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const [code = ''] = authenticator.recoveryCodes;
    const spelled = ` ${code.toUpperCase().replaceAll('-', ' ')}`;
    expect((await verify(await getMfaToken(account), spelled)).status).toBe(200);
    expect((await eventsOf(account.id)).at(-1)).toBe('signed_in password recovery_code');
    const again = await verify(await getMfaToken(account), code);
    expect(codeOf(again)).toEqual([403, 'mfa_code_invalid']);
    expect(await count('recovery_codes', account.id)).toBe(9);
  });

  test('names recovery codes as long as there are some', async () => {
    const { account } = await signUpEnrolled();
    await rind.sql.query('DELETE FROM recovery_codes WHERE user_id = $1', [account.id]);
    expect((await login(account)).body.methods).toEqual(['totp']);
  });

  test('refuses a code that was used, be it by activation', async () => {
    const account = await signUpVerified();
    const app = appOf((await enrol(account)).body);
    const code = app.generate();
    expect((await activate(account, code)).status).toBe(200);
    const mfaToken = await getMfaToken(account);
    expect(codeOf(await verify(mfaToken, code))).toEqual([403, 'mfa_code_invalid']);
  });

  test('refuses a code of a step before the one used last', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const code = await authenticator.freshCode();
    await rind.sql.query('UPDATE totp_factors SET last_used_step = $2 WHERE user_id = $1', [
      account.id,
      Math.floor(Date.now() / 30_000) + 2,
    ]);
    const refused = await verify(await getMfaToken(account), code);
    expect(codeOf(refused)).toEqual([403, 'mfa_code_invalid']);
  });

  test("refuses codes of somebody else's app and somebody else's recovery codes", async () => {
    const { account } = await signUpEnrolled();
    const other = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    for (const code of [
      await other.authenticator.freshCode(),
      other.authenticator.recoveryCodes[0]!,
    ])
      expect(codeOf(await verify(mfaToken, code))).toEqual([403, 'mfa_code_invalid']);
    expect(await count('recovery_codes', other.account.id)).toBe(10);
  });

  test('of two sign-ins at once, one code admits one', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const tokens = [await getMfaToken(account), await getMfaToken(account)];
    const code = await authenticator.freshCode();
    const answers = await Promise.all(tokens.map((mfaToken) => verify(mfaToken, code)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 403]);
  });

  test('of a sign-in and a signed-in device at once, one code serves one', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const code = await authenticator.freshCode();
    const seam = hold(rind.app.get(FactorsRepository), 'useStep', 'before');
    seams.push(seam);
    const signingIn = verify(mfaToken, code);
    await seam.reached;
    const renewing = renew(account, code);
    seam.release();
    const answers = await Promise.all([signingIn, renewing]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 403]);
  });

  test('of two sign-ins at once, one recovery code admits one', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const tokens = [await getMfaToken(account), await getMfaToken(account)];
    const code = authenticator.recoveryCodes[3]!;
    const answers = await Promise.all(tokens.map((mfaToken) => verify(mfaToken, code)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 403]);
  });

  test('of two right codes at once, one mfaToken admits one', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const codes = [authenticator.recoveryCodes[0]!, authenticator.recoveryCodes[1]!];
    const sessions = await count('sessions', account.id);
    const answers = await Promise.all(codes.map((code) => verify(mfaToken, code)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 401]);
    expect(await count('sessions', account.id)).toBe(sessions + 1);
    expect(await count('recovery_codes', account.id)).toBe(9);
    expect(codeOf(await verify(mfaToken, authenticator.recoveryCodes[2]!))).toEqual([
      401,
      'mfa_token_invalid',
    ]);
  });

  test.each([
    ['an account that is deactivated', 'UPDATE users SET is_active = false WHERE id = $1', 403],
    ['an account that is deleted', 'DELETE FROM users WHERE id = $1', 401],
  ])('ends for %s between the factors', async (_, change, status) => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const code = await authenticator.freshCode();
    await rind.sql.query(change, [account.id]);
    expect((await verify(mfaToken, code)).status).toBe(status);
  });

  test('gives a deactivated account no mfaToken', async () => {
    const { account } = await signUpEnrolled();
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [account.id]);
    expect(codeOf(await login(account))).toEqual([403, 'account_deactivated']);
    expect(await count('pending_sign_ins', account.id)).toBe(0);
  });

  test('a factor that is removed between the factors admits nobody by its codes', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    expect((await remove(account, { code: await authenticator.freshCode() })).status).toBe(204);
    const code = authenticator.recoveryCodes[0]!;
    expect(codeOf(await verify(mfaToken, code))).toEqual([403, 'mfa_code_invalid']);
    expect((await login(account)).body.accessToken).toEqual(expect.any(String));
  });
});

describe('an mfaToken', () => {
  test('is good for nothing else', async () => {
    const { account } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    expect(codeOf(await getMe(mfaToken))).toEqual([401, 'unauthenticated']);
    const refreshed = await rind.request('POST', '/auth/refresh', {
      body: { refreshToken: mfaToken },
    });
    expect(codeOf(refreshed)).toEqual([401, 'refresh_token_invalid']);
  });

  test('stands in for by no other token', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const code = await authenticator.freshCode();
    const others = [account.accessToken, account.refreshToken, account.id, `${mfaToken}x`];
    for (const other of [...others, mfaToken.slice(0, -1), mfaToken.toUpperCase()]) {
      expect(codeOf(await verify(other, code))).toEqual([401, 'mfa_token_invalid']);
    }
    expect((await verify(mfaToken, code)).status).toBe(200);
  });

  test('lives for 5 minutes', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const { rows } = await rind.sql.query(
      'SELECT extract(epoch FROM expires_at - now()) AS left FROM pending_sign_ins WHERE user_id = $1',
      [account.id],
    );
    expect(Number(rows[0].left)).toBeGreaterThan(240);
    expect(Number(rows[0].left)).toBeLessThanOrEqual(300);
    await rind.sql.query('UPDATE pending_sign_ins SET expires_at = now() WHERE user_id = $1', [
      account.id,
    ]);
    const late = await verify(mfaToken, await authenticator.freshCode());
    expect(codeOf(late)).toEqual([401, 'mfa_token_invalid']);
  });

  test('takes five wrong codes, then not even the right one', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const wrong = authenticator.wrongCode();
    for (let tries = 0; tries < 5; tries += 1)
      expect(codeOf(await verify(mfaToken, wrong))).toEqual([403, 'mfa_code_invalid']);
    const right = await verify(mfaToken, await authenticator.freshCode());
    expect(codeOf(right)).toEqual([401, 'mfa_token_invalid']);
    expect((await eventsOf(account.id)).filter((event) => /refused/.test(event))).toEqual(
      Array(5).fill('sign_in_refused mfa_code_invalid'),
    );
  });

  test('takes five wrong codes when eight come at once', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const wrong = authenticator.wrongCode();
    const answers = await Promise.all(Array.from({ length: 8 }, () => verify(mfaToken, wrong)));
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(5);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(3);
  });

  test.each<[string, (account: Account) => Promise<void>]>([
    ['the sessions of the user end', ({ id }) => rind.app.get(SessionsService).endAll(id)],
    [
      'all other sessions end, as with a change of the password',
      ({ id, session }) => rind.app.get(SessionsService).endAll(id, session.id),
    ],
    [
      'the address is proved for the first time',
      async ({ id }) => {
        await rind.sql.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [id]);
        await rind.app.get(AddressProofsService).prove(id, { method: 'reset', client: null });
      },
    ],
  ])('is void once %s', async (_, change) => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    await change(account);
    const refused = await verify(mfaToken, await authenticator.freshCode());
    expect(codeOf(refused)).toEqual([401, 'mfa_token_invalid']);
  });

  test('that is used while all sessions end leaves no session', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const mfaToken = await getMfaToken(account);
    const seam = hold(rind.app.get(PendingSignInsRepository), 'delete', 'after');
    seams.push(seam);
    const verifying = verify(mfaToken, await authenticator.freshCode());
    await seam.reached;
    const ending = rind.app.get(SessionsService).endAll(account.id);
    await untilBlocked(rind.sql, ending);
    seam.release();
    await Promise.all([verifying, ending]);
    expect(await count('sessions', account.id)).toBe(0);
  });
});

describe('wrong codes', () => {
  /** Wrong ones at the sign-in, until the account takes no more. */
  async function exhaust(account: Account, wrong: string) {
    for (let tokens = 0; tokens < 2; tokens += 1) {
      const mfaToken = await getMfaToken(account);
      for (let tries = 0; tries < 5; tries += 1) {
        expect(codeOf(await verify(mfaToken, wrong))).toEqual([403, 'mfa_code_invalid']);
      }
    }
  }

  test('are limited by account, whatever the mfaToken, and say when to come back', async () => {
    const { account, authenticator } = await signUpEnrolled();
    await exhaust(account, authenticator.wrongCode());
    const refused = await verify(await getMfaToken(account), await authenticator.freshCode());
    expect(codeOf(refused)).toEqual([429, 'rate_limited']);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(3000);
    expect(seconds).toBeLessThanOrEqual(3600);
    expect((await eventsOf(account.id)).at(-1)).toBe('sign_in_refused rate_limited');
  });

  test('are limited exactly, when many come at once', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const wrong = authenticator.wrongCode();
    const tokens: string[] = [];
    // One after the other: passwords that are tried at once have a limit of their own.
    while (tokens.length < 14) tokens.push(await getMfaToken(account));
    const answers = await Promise.all(tokens.map((mfaToken) => verify(mfaToken, wrong)));
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(4);
  });

  test('at the sign-in take nothing from devices that are signed in, nor from other accounts', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const other = await signUpEnrolled();
    await exhaust(account, authenticator.wrongCode());
    expect((await getMe(account.accessToken)).status).toBe(200);
    expect((await renew(account, await authenticator.freshCode())).status).toBe(200);
    const mfaToken = await getMfaToken(other.account);
    expect((await verify(mfaToken, await other.authenticator.freshCode())).status).toBe(200);
  });

  test('of signed-in devices are limited, too', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const wrong = authenticator.wrongCode();
    for (let tries = 0; tries < 10; tries += 1) {
      expect(codeOf(await renew(account, wrong))).toEqual([403, 'mfa_code_invalid']);
    }
    const removed = await remove(account, { code: await authenticator.freshCode() });
    expect(codeOf(removed)).toEqual([429, 'rate_limited']);
    expect(removed.headers.get('retry-after')).toMatch(/^\d+$/);
  });

  test('are counted, and right ones are not', async () => {
    const { account, authenticator } = await signUpEnrolled();
    for (let signIns = 0; signIns < 12; signIns += 1) {
      const mfaToken = await getMfaToken(account);
      expect((await verify(mfaToken, await authenticator.freshCode())).status).toBe(200);
    }
  });
});

describe('removing', () => {
  test('takes a code and the password or a recent sign-in; then the password is enough', async () => {
    const { account, authenticator } = await signUpEnrolled();
    await age(account);
    const code = await authenticator.freshCode();
    expect(codeOf(await remove(account, { code }))).toEqual([403, 'reauthentication_required']);
    const { password } = account;
    const wrong = await remove(account, { code, password: 'not the password' });
    expect(codeOf(wrong)).toEqual([403, 'reauthentication_failed']);
    const guessed = await remove(account, { code: authenticator.wrongCode(), password });
    expect(codeOf(guessed)).toEqual([403, 'mfa_code_invalid']);
    // Neither refusal used the code up.
    expect((await remove(account, { code, password })).status).toBe(204);
    expect((await login(account)).body.accessToken).toEqual(expect.any(String));
    for (const table of ['totp_factors', 'recovery_codes'])
      expect(await count(table, account.id)).toBe(0);
    expect(await eventsOf(account.id)).toContain('factor_removed totp');
  });

  test('takes a recovery code from who lost the app, who can enrol another', async () => {
    const { account, authenticator } = await signUpEnrolled();
    expect((await remove(account, { code: authenticator.recoveryCodes[9] })).status).toBe(204);
    expect((await enrol(account)).status).toBe(200);
  });

  test("takes nothing from somebody else's", async () => {
    const { account } = await signUpEnrolled();
    const other = await signUpEnrolled();
    const code = await other.authenticator.freshCode();
    expect(codeOf(await remove(account, { code }))).toEqual([403, 'mfa_code_invalid']);
    expect(await count('totp_factors', other.account.id)).toBe(1);
  });
});

describe('renewing recovery codes', () => {
  test('takes a code, and voids the old ones', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const wrong = await renew(account, authenticator.wrongCode());
    expect(codeOf(wrong)).toEqual([403, 'mfa_code_invalid']);
    const { status, body } = await renew(account, await authenticator.freshCode());
    expect(status).toBe(200);
    expect(await eventsOf(account.id)).toContain('recovery_codes_renewed');
    const mfaToken = await getMfaToken(account);
    const old = await verify(mfaToken, authenticator.recoveryCodes[0]!);
    expect(codeOf(old)).toEqual([403, 'mfa_code_invalid']);
    expect((await verify(mfaToken, body.recoveryCodes[0]!)).status).toBe(200);
  });

  test('twice at once leaves the ten codes of one of them', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const [first = '', second = ''] = authenticator.recoveryCodes;
    const answers = await Promise.all([renew(account, first), renew(account, second)]);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(await count('recovery_codes', account.id)).toBe(10);
  });
});

describe('what needs the password or a recent sign-in', () => {
  const requireAgain = ({ id, session }: Account, offered: { password?: string; code?: string }) =>
    rind.app
      .get(ReauthenticationService)
      .require({ userId: id, sessionId: session.id, roles: [] }, offered, {
        ip: '127.0.0.1',
        userAgent: null,
        requestId: 'asked',
      });

  test('needs a code, too, where there is a second factor', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const { password } = account;
    await expect(requireAgain(account, {})).rejects.toThrow('mfa_code_required');
    await expect(requireAgain(account, { password })).rejects.toThrow('mfa_code_required');
    const code = authenticator.wrongCode();
    await expect(requireAgain(account, { code })).rejects.toThrow('mfa_code_invalid');
    await requireAgain(account, { code: await authenticator.freshCode() });
    await age(account);
    await requireAgain(account, { password, code: await authenticator.freshCode() });
  });

  test.each([
    ['POST', '/users/me/password', { newPassword: 'four other words' }],
    ['POST', '/users/me/email', { email: 'another@example.com' }],
    ['DELETE', '/users/me', {}],
  ])('so do %s %s', async (method, path, change) => {
    const { account, authenticator } = await signUpEnrolled();
    const send = (body: object) =>
      rind.request(method, path, { token: account.accessToken, body: { ...change, ...body } });
    expect(codeOf(await send({}))).toEqual([403, 'mfa_code_required']);
    const wrong = await send({ code: authenticator.wrongCode() });
    expect(codeOf(wrong)).toEqual([403, 'mfa_code_invalid']);
    expect((await send({ code: await authenticator.freshCode() })).status).toBeLessThan(300);
  });

  test('needs none where there is no factor, or just a proposed one', async () => {
    const account = await signUpVerified();
    await requireAgain(account, {});
    await enrol(account);
    await requireAgain(account, {});
  });
});

describe('what is not a code', () => {
  test.each([
    ['POST', '/auth/mfa/verify', {}],
    ['POST', '/auth/mfa/verify', { mfaToken: 'x', code: 123456 }],
    ['POST', '/auth/mfa/verify', { mfaToken: ['x'], code: '123456' }],
    ['POST', '/auth/mfa/verify', { mfaToken: 'x', code: 'x'.repeat(65) }],
    ['POST', '/auth/mfa/verify', { mfaToken: 'x'.repeat(513), code: '123456' }],
    ['POST', '/auth/mfa/totp', { password: 1 }],
    ['POST', '/auth/mfa/totp/activate', { code: null }],
    ['POST', '/auth/mfa/recovery-codes', { code: '' }],
    ['DELETE', '/auth/mfa/totp', { code: { $ne: '' } }],
  ])('%s %s %j is 422', async (method, path, body) => {
    const { accessToken: token } = await rind.signUp();
    expect(codeOf(await rind.request(method, path, { token, body }))).toEqual([
      422,
      'validation_failed',
    ]);
  });

  test.each(['\0', '000000\0', '%00', 'null', '-1', '1e5', '999999999999'])(
    '%j is a wrong one',
    async (code) => {
      const { account } = await signUpEnrolled();
      expect(codeOf(await verify(await getMfaToken(account), code))).toEqual([
        403,
        'mfa_code_invalid',
      ]);
    },
  );
});

describe('the encryption key', () => {
  const keyIdOf = async ({ id }: Account) => {
    const { rows } = await rind.sql.query('SELECT key_id FROM totp_factors WHERE user_id = $1', [
      id,
    ]);
    return rows[0].key_id as string;
  };
  const verifyAt = (instance: TestApp, body: object) =>
    instance.request<Answer>('POST', '/auth/mfa/verify', { body });

  test('rotates: secrets stay readable and move to the new key when they are used', async () => {
    const { account, authenticator } = await signUpEnrolled();
    const oldId = await keyIdOf(account);
    const rotated = await TestApp.start({
      database: rind.database,
      env: { ENCRYPTION_KEY: 'the second key', ENCRYPTION_KEY_PREVIOUS: 'the first key' },
    });
    const afterwards = await TestApp.start({
      database: rind.database,
      env: { ENCRYPTION_KEY: 'the second key' },
    });
    try {
      const before = await verifyAt(afterwards, {
        mfaToken: await getMfaToken(account),
        code: await authenticator.freshCode(),
      });
      expect(before.status).toBe(500);
      // Needs no key.
      const recovered = await verifyAt(afterwards, {
        mfaToken: await getMfaToken(account),
        code: authenticator.recoveryCodes[0],
      });
      expect(recovered.status).toBe(200);
      for (const instance of [rotated, afterwards]) {
        const { status } = await verifyAt(instance, {
          mfaToken: await getMfaToken(account),
          code: await authenticator.freshCode(),
        });
        expect(status).toBe(200);
        expect(await keyIdOf(account)).not.toBe(oldId);
      }
    } finally {
      await rotated.stop();
      await afterwards.stop();
    }
  });

  test("binds a secret to its user: in another's row it opens nothing", async () => {
    const { account, authenticator } = await signUpEnrolled();
    const { account: victim } = await signUpEnrolled();
    await rind.sql.query(
      `UPDATE totp_factors SET (secret, key_id, last_used_step) =
         (SELECT secret, key_id, NULL::int FROM totp_factors WHERE user_id = $1) WHERE user_id = $2`,
      [account.id, victim.id],
    );
    const stolen = await verify(await getMfaToken(victim), await authenticator.freshCode());
    expect(stolen.status).toBe(500);
  });
});

describe('the account', () => {
  test('takes its factor along when it is deleted', async () => {
    const { account } = await signUpEnrolled();
    await getMfaToken(account);
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    for (const table of ['totp_factors', 'recovery_codes', 'pending_sign_ins'])
      expect(await count(table, account.id)).toBe(0);
  });
});
