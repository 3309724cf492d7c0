import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { hash } from 'argon2';
import { stringify, v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import { Captcha } from '../../src/auth/captcha.js';
import { MailTokensRepository } from '../../src/auth/mails/mail-tokens.repository.js';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { SignInService } from '../../src/auth/sign-in.service.js';
import { Jobs } from '../../src/platform/jobs/jobs.js';
import { Mailer } from '../../src/platform/mail/mailer.js';
import { NewPasswords } from '../../src/platform/passwords/new-passwords.js';
import { untilJobsDone } from '../support/jobs.js';
import { settle } from '../support/notices.js';
import { hold, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';
import { dataDirectoryOf } from '../support/test-database.js';

const SECRET = 'the secret of these tests';
const NEW_PASSWORD = 'a brand new password';
const env = { FRONTEND_URL: 'https://app.example.com/', JWT_SECRET: SECRET };

let rind: TestApp;

beforeAll(async () => {
  rind = await TestApp.start({ env });
});
afterAll(() => rind.stop());

const newEmail = () => `${randomUUID()}@example.com`;

const post = (route: string, body: object, { accessToken: token }: Partial<Account> = {}) =>
  rind.request<Problem | null>('POST', route, { body, ...(token && { token }) });

/** As the owner does with a device that was stolen. */
const endSession = ({ session }: Account) =>
  rind.sql.query('DELETE FROM sessions WHERE id = $1', [session.id]);

const login = (email: string, password: string) =>
  rind.request<AuthResult & Problem>('POST', '/auth/login', { body: { email, password } });

const isSignedIn = async ({ accessToken: token }: Pick<AuthResult, 'accessToken'>) => {
  await settle(rind);
  return (await rind.request('GET', '/users/me', { token: token! })).status === 200;
};

const userOf = async ({ accessToken: token }: Account) =>
  (await rind.request<AuthResult['user']>('GET', '/users/me', { token })).body;

async function actionsOf(userId: string): Promise<string[]> {
  const { rows } = await rind.sql.query<{ action: string }>(
    'SELECT action FROM audit_events WHERE user_id = $1 ORDER BY id',
    [userId],
  );
  return rows.map(({ action }) => action);
}

const verified = async () => {
  const account = await rind.signUp();
  await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [account.id]);
  return account;
};

/** The token of the latest mail of a kind to an address. */
async function tokenOf(kind: string, address: string): Promise<string> {
  const mails = await rind.mailsTo(address);
  return mails.findLast((mail) => mail.kind === kind)!.token;
}

async function forgot({ user: { email } }: Account): Promise<string> {
  expect((await post('/auth/password/forgot', { email })).status).toBe(202);
  return tokenOf('reset_password', email);
}

async function askForEmail(account: Account, email = newEmail()) {
  expect((await post('/users/me/email', { email }, account)).status).toBe(202);
  return { email, token: await tokenOf('change_email', email) };
}

const invalid = { status: 422, body: { code: 'mail_token_invalid' } };

describe('A mail', () => {
  test('lies in the outbox as text, HTML and envelope, with links to the app', async () => {
    const account = await rind.signUp();
    const [mail, ...others] = await rind.mailsTo(account.user.email);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({ kind: 'verify_email', language: 'en' });
    expect(mail!.subject).toBe('Confirm your email address');
    for (const body of [mail!.text, mail!.html]) {
      expect(body).toContain(`https://app.example.com/verify-email?token=${mail!.token}`);
      expect(body).toContain(`https://app.example.com/disown?token=${mail!.token}`);
    }
    const outbox = path.join(dataDirectoryOf(rind.database.url), 'outbox');
    expect((await stat(path.join(outbox, `${mail!.id}.json`))).mode & 0o777).toBe(0o600);
  });

  test('speaks the language of its reader, and repeats nothing that somebody typed', async () => {
    const email = newEmail();
    const displayName = 'Visit evil.example';
    await post('/auth/register', { email, password: NEW_PASSWORD, displayName, language: 'de' });
    const [mail] = await rind.mailsTo(email);
    expect(mail).toMatchObject({ language: 'de', subject: 'Bestätige deine E-Mail-Adresse' });
    expect(JSON.stringify(mail)).not.toContain('evil');
  });

  test('whose transport fails is tried again, with the same bytes', async () => {
    const send = jest.spyOn(rind.app.get(Mailer), 'send');
    send.mockRejectedValueOnce(new Error('not now'));
    const { user } = await rind.signUp();
    expect(await rind.mailsTo(user.email)).toEqual([]);
    await rind.sql.query(
      `SELECT graphile_worker.reschedule_jobs(array_agg(id), now()) FROM graphile_worker.jobs`,
    );
    // Its job is announced, and whoever wakes up takes all that is due.
    await rind.signUp();
    expect(await rind.mailsTo(user.email)).toHaveLength(1);
    expect(send.mock.calls.find(([{ to }], index) => index > 0 && to === user.email)).toEqual(
      send.mock.calls[0],
    );
    send.mockRestore();
  });
});

describe('Verifying an address', () => {
  test('takes one token once, and leaves the phone signed in', async () => {
    const account = await rind.signUp();
    const token = await tokenOf('verify_email', account.user.email);
    expect((await post('/auth/email/verify', { token })).status).toBe(204);
    expect(await userOf(account)).toMatchObject({ emailVerified: true });
    expect(await post('/auth/email/verify', { token })).toMatchObject(invalid);
    expect(await actionsOf(account.id)).toContain('email_verified');
  });

  test('a new mail voids the one before', async () => {
    const account = await rind.signUp();
    const { email } = account.user;
    const first = await tokenOf('verify_email', email);
    expect((await post('/auth/email/resend', { email })).status).toBe(202);
    const second = await tokenOf('verify_email', email);
    expect(second).not.toBe(first);
    expect(await post('/auth/email/verify', { token: first })).toMatchObject(invalid);
    expect((await post('/auth/email/verify', { token: second })).status).toBe(204);
    await post('/auth/email/resend', { email });
    expect(await rind.mailsTo(email)).toHaveLength(2);
  });

  test('"this was not me" removes an account, but not a verified one', async () => {
    const squatter = await rind.signUp();
    const token = await tokenOf('verify_email', squatter.user.email);
    expect((await post('/auth/email/disown', { token })).status).toBe(204);
    expect(await isSignedIn(squatter)).toBe(false);
    expect((await login(squatter.user.email, squatter.password)).body.code).toBe(
      'invalid_credentials',
    );
    // Also out of the outbox; and no goodbye to somebody who never came.
    expect(await rind.mailsTo(squatter.user.email)).toEqual([]);
    const owner = await rind.signUp();
    const other = await tokenOf('verify_email', owner.user.email);
    await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.id]);
    expect(await post('/auth/email/disown', { token: other })).toMatchObject(invalid);
    expect(await isSignedIn(owner)).toBe(true);
  });
});

describe('A token', () => {
  test.each(['', 'x', 'A'.repeat(64), Buffer.alloc(48).toString('base64url'), '💥', ' '])(
    'that is garbage is refused: %j',
    async (token) => {
      const { status, body } = await post('/auth/email/verify', { token });
      expect([status, body?.code]).toEqual([
        422,
        token === '' ? 'validation_failed' : 'mail_token_invalid',
      ]);
    },
  );

  test('has one spelling, and no bit of it may differ', async () => {
    const { user } = await rind.signUp();
    const token = await tokenOf('verify_email', user.email);
    const bytes = Buffer.from(token, 'base64url');
    for (const place of [0, 15, 16, 47]) {
      const changed = Buffer.from(bytes);
      changed[place]! ^= 1;
      const body = { token: changed.toString('base64url') };
      expect(await post('/auth/email/verify', body)).toMatchObject(invalid);
    }
    for (const spelling of [`${token}=`, `${token}.`, ` ${token}`, token.slice(0, -1)]) {
      expect(await post('/auth/email/verify', { token: spelling })).toMatchObject(invalid);
    }
    expect((await post('/auth/email/verify', { token })).status).toBe(204);
  });

  test('is good for its own purpose only', async () => {
    const account = await verified();
    const token = await forgot(account);
    expect(await post('/auth/email/verify', { token })).toMatchObject(invalid);
    expect(await post('/auth/email/disown', { token })).toMatchObject(invalid);
    expect(await post('/users/me/email/confirm', { token }, account)).toMatchObject(invalid);
    const body = { token, password: NEW_PASSWORD };
    expect((await post('/auth/password/reset', body)).status).toBe(204);
  });

  test('expires: 24 h for a verification, 30 min for a reset', async () => {
    const account = await rind.signUp();
    const reset = await forgot(account);
    const verification = await tokenOf('verify_email', account.user.email);
    const { rows } = await rind.sql.query(
      `SELECT purpose, round(extract(epoch FROM expires_at - now()) / 60)::int AS minutes
       FROM mail_tokens WHERE user_id = $1 ORDER BY 1`,
      [account.id],
    );
    expect(rows).toEqual([
      { purpose: 'reset_password', minutes: 30 },
      { purpose: 'verify_email', minutes: 1440 },
    ]);
    await rind.sql.query('UPDATE mail_tokens SET expires_at = now() WHERE user_id = $1', [
      account.id,
    ]);
    const body = { token: reset, password: NEW_PASSWORD };
    expect(await post('/auth/password/reset', body)).toMatchObject(invalid);
    expect(await post('/auth/email/verify', { token: verification })).toMatchObject(invalid);
  });

  test('of an account that is deactivated or gone is refused', async () => {
    const account = await rind.signUp();
    const token = await forgot(account);
    const body = { token, password: NEW_PASSWORD };
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [account.id]);
    expect(await post('/auth/password/reset', body)).toMatchObject(invalid);
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    expect(await post('/auth/password/reset', body)).toMatchObject(invalid);
  });

  test('made under the secret before the current one still verifies', async () => {
    const account = await rind.signUp();
    const token = await tokenOf('verify_email', account.user.email);
    const rotated = {
      ...env,
      JWT_SECRET: 'another secret of these tests',
      JWT_SECRET_PREVIOUS: SECRET,
    };
    const instance = await TestApp.start({ env: rotated, database: rind.database });
    const { status } = await instance.request('POST', '/auth/email/verify', { body: { token } });
    await instance.stop();
    expect(status).toBe(204);
  });

  test('and nothing of it is in the database, nor in the queue while its mail waits', async () => {
    const account = await verified();
    const tokens = [await forgot(account), (await askForEmail(account)).token];
    const send = jest.spyOn(rind.app.get(Mailer), 'send').mockRejectedValue(new Error('not now'));
    for (const route of ['/auth/password/forgot', '/auth/email/resend'])
      await post(route, { email: (await rind.signUp()).user.email });
    await untilJobsDone(rind.sql);
    const waiting = send.mock.calls.map(([{ link }]) => new URL(link!).searchParams.get('token')!);
    expect(waiting).toHaveLength(4);
    tokens.push(...waiting);
    send.mockRestore();
    const { rows: tables } = await rind.sql.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    expect(tables.map(({ name }) => name)).toContain('graphile_worker._private_jobs');
    const dumps = tables.map(async ({ name }) => {
      const { rows } = await rind.sql.query(`SELECT row_to_json(t)::text AS row FROM ${name} t`);
      return rows.map(({ row }: { row: string }) => row).join('\n');
    });
    const dump = (await Promise.all(dumps)).join('\n');
    expect(dump).toContain('change_email');
    expect(dump).toContain('mail_link');
    expect(dump).toContain('not now');
    for (const token of tokens) {
      const mac = Buffer.from(token, 'base64url').subarray(16);
      expect(dump).not.toContain(token);
      expect(dump).not.toContain(mac.toString('hex'));
      expect(dump).not.toContain(mac.toString('base64').slice(0, -2));
      expect(dump).not.toContain(mac.toString('base64url').slice(0, -2));
    }
  });
});

describe('Resetting a password', () => {
  test('ends all sessions, is announced, and works once', async () => {
    const account = await verified();
    const { email } = account.user;
    const token = await forgot(account);
    const body = { token, password: NEW_PASSWORD };
    expect((await post('/auth/password/reset', body)).status).toBe(204);
    expect(await isSignedIn(account)).toBe(false);
    expect((await login(email, account.password)).status).toBe(401);
    expect((await login(email, NEW_PASSWORD)).status).toBe(200);
    expect(await post('/auth/password/reset', body)).toMatchObject(invalid);
    expect((await rind.mailsTo(email)).at(-1)).toMatchObject({
      kind: 'notification',
      subject: 'Your password was changed',
    });
    expect(await actionsOf(account.id)).toEqual(
      expect.arrayContaining(['password_reset_requested', 'password_reset']),
    );
  });

  test('of two uses of one token at the same moment one wins', async () => {
    const account = await verified();
    const token = await forgot(account);
    const reset = (password: string) => post('/auth/password/reset', { token, password });
    const seam = hold(rind.app.get(MailTokensRepository), 'markUsed', 'after');
    const first = reset(NEW_PASSWORD);
    await seam.reached;
    const second = reset('the other new password');
    await untilBlocked(rind.sql, second);
    seam.release();
    expect((await first).status).toBe(204);
    expect(await second).toMatchObject(invalid);
    expect((await login(account.user.email, NEW_PASSWORD)).status).toBe(200);
  });

  test('a request that is repeated after a newer one brings no older link back', async () => {
    const account = await verified();
    const { email } = account.user;
    const older = await forgot(account);
    const newer = await forgot(account);
    /** As when a process dies between doing a job and saying so. */
    const repeat = async () => {
      const tokenId = stringify(Buffer.from(older, 'base64url').subarray(0, 16));
      const job = { name: 'mail_link_requested', payload: z.object({}).loose() };
      const payload = { tokenId, userId: account.id, purpose: 'reset_password' };
      await rind.app.get(Jobs).add(job, payload);
      await untilJobsDone(rind.sql);
    };
    const reset = (token: string, password: string) =>
      post('/auth/password/reset', { token, password });
    await repeat();
    expect(await reset(older, NEW_PASSWORD)).toMatchObject(invalid);
    expect((await reset(newer, NEW_PASSWORD)).status).toBe(204);
    await repeat();
    expect(await reset(older, account.password)).toMatchObject(invalid);
    const sent = (await rind.mailsTo(email)).filter(({ kind }) => kind === 'reset_password');
    expect(sent).toHaveLength(2);
  });

  test.each([
    ['before', SignInService, 'admit'],
    ['while', SessionsRepository, 'create'],
  ] as const)(
    'leaves no session to who signs in with the old one, %s the session is opened',
    async (moment, service, method) => {
      const account = await verified();
      const { email } = account.user;
      const token = await forgot(account);
      const seam = hold<object>(
        rind.app.get<object>(service),
        method as never,
        moment === 'before' ? 'before' : 'after',
      );
      const signingIn = login(email, account.password);
      await seam.reached;
      const resetting = post('/auth/password/reset', { token, password: NEW_PASSWORD });
      if (moment === 'while') await untilBlocked(rind.sql, resetting);
      else await resetting;
      seam.release();
      expect((await resetting).status).toBe(204);
      const { status, body } = await signingIn;
      // What was signed in first has ended meanwhile.
      expect([status, await isSignedIn(body)]).toEqual([moment === 'before' ? 401 : 200, false]);
      const { rows } = await rind.sql.query('SELECT FROM sessions WHERE user_id = $1', [
        account.id,
      ]);
      expect(rows).toEqual([]);
    },
  );

  test('takes the token of the newest mail only', async () => {
    const account = await verified();
    const first = await forgot(account);
    const second = await forgot(account);
    expect(second).not.toBe(first);
    const body = (token: string) => ({ token, password: NEW_PASSWORD });
    expect(await post('/auth/password/reset', body(first))).toMatchObject(invalid);
    expect((await post('/auth/password/reset', body(second))).status).toBe(204);
  });
});

test('A request whose job is done twice sends one mail, and its token stays good', async () => {
  const account = await verified();
  const payload = { tokenId: uuidv7(), userId: account.id, purpose: 'reset_password' };
  for (let count = 0; count < 2; count += 1) {
    await rind.sql.query(`SELECT FROM graphile_worker.add_job('mail_link_requested', $1)`, [
      JSON.stringify(payload),
    ]);
    await untilJobsDone(rind.sql);
  }
  const mails = await rind.mailsTo(account.user.email);
  expect(mails.map(({ kind }) => kind)).toEqual(['verify_email', 'reset_password']);
  const body = { token: mails[1]!.token, password: NEW_PASSWORD };
  expect((await post('/auth/password/reset', body)).status).toBe(204);
});

describe('Changing the password', () => {
  const change = (account: Account, body: object) => post('/users/me/password', body, account);

  test('ends the other sessions, keeps this one, voids pending mails, and is announced', async () => {
    const account = await verified();
    const { email } = account.user;
    const other = (await login(email, account.password)).body;
    const token = await forgot(account);
    const body = { currentPassword: account.password, newPassword: NEW_PASSWORD };
    expect((await change(account, body)).status).toBe(204);
    expect([await isSignedIn(account), await isSignedIn(other)]).toEqual([true, false]);
    expect((await login(email, account.password)).status).toBe(401);
    expect((await login(email, NEW_PASSWORD)).status).toBe(200);
    const reset = { token, password: 'yet another password' };
    expect(await post('/auth/password/reset', reset)).toMatchObject(invalid);
    expect((await rind.mailsTo(email)).at(-1)).toMatchObject({
      kind: 'notification',
      subject: 'Your password was changed',
    });
    expect(await actionsOf(account.id)).toContain('password_changed');
  });

  test('needs the current one, or a sign-in of the last minutes', async () => {
    const account = await verified();
    const wrong = { currentPassword: 'not the password', newPassword: NEW_PASSWORD };
    expect(await change(account, wrong)).toMatchObject({
      status: 403,
      body: { code: 'reauthentication_failed' },
    });
    expect((await change(account, { newPassword: NEW_PASSWORD })).status).toBe(204);
    await rind.sql.query(
      `UPDATE sessions SET created_at = now() - interval '11 minutes' WHERE user_id = $1`,
      [account.id],
    );
    expect(await change(account, { newPassword: account.password })).toMatchObject({
      status: 403,
      body: { code: 'reauthentication_required' },
    });
  });

  test('comes to nothing when the session ends before it is done', async () => {
    const account = await verified();
    const seam = hold(rind.app.get(NewPasswords), 'hash', 'after');
    const changing = change(account, { newPassword: NEW_PASSWORD });
    await seam.reached;
    await endSession(account);
    seam.release();
    expect(await changing).toMatchObject({ status: 401, body: { code: 'session_ended' } });
    expect((await login(account.user.email, account.password)).status).toBe(200);
  });

  test('wins over a sign-in that compared the old password meanwhile', async () => {
    const account = await verified();
    const seam = hold(rind.app.get(SignInService), 'admit', 'before');
    const signingIn = login(account.user.email, account.password);
    await seam.reached;
    const body = { currentPassword: account.password, newPassword: NEW_PASSWORD };
    expect((await change(account, body)).status).toBe(204);
    seam.release();
    expect(await signingIn).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } });
  });

  test('ends the session that a sign-in with the old password opened meanwhile', async () => {
    const account = await verified();
    const seam = hold(rind.app.get(SessionsRepository), 'create', 'after');
    const signingIn = login(account.user.email, account.password);
    await seam.reached;
    const body = { currentPassword: account.password, newPassword: NEW_PASSWORD };
    const changing = change(account, body);
    await untilBlocked(rind.sql, changing);
    seam.release();
    expect((await changing).status).toBe(204);
    expect(await isSignedIn((await signingIn).body)).toBe(false);
    expect(await isSignedIn(account)).toBe(true);
  });

  test('a sign-in is not refused because another one renewed the hash meanwhile', async () => {
    const account = await verified();
    const seam = hold(rind.app.get(SignInService), 'admit', 'before');
    const signingIn = login(account.user.email, account.password);
    await seam.reached;
    const renewed = await hash(account.password, { memoryCost: 8192, timeCost: 1 });
    await rind.sql.query('UPDATE users SET password_hash = $2 WHERE id = $1', [
      account.id,
      renewed,
    ]);
    seam.release();
    expect((await signingIn).status).toBe(200);
  });
});

describe('Changing the address', () => {
  const confirm = (account: Account, token: string) =>
    post('/users/me/email/confirm', { token }, account);

  test('comes to nothing when the session ends before it is confirmed', async () => {
    const account = await verified();
    const { token } = await askForEmail(account);
    const seam = hold(rind.app.get(MailTokensRepository), 'findUsable', 'after');
    const confirming = confirm(account, token);
    await seam.reached;
    await endSession(account);
    seam.release();
    expect(await confirming).toMatchObject({ status: 401, body: { code: 'session_ended' } });
    expect((await login(account.user.email, account.password)).status).toBe(200);
  });

  test('needs the password, or a sign-in of the last minutes', async () => {
    const account = await verified();
    await rind.sql.query(
      `UPDATE sessions SET created_at = now() - interval '11 minutes' WHERE user_id = $1`,
      [account.id],
    );
    const email = newEmail();
    for (const [password, code] of [
      [undefined, 'reauthentication_required'],
      ['not the password', 'reauthentication_failed'],
    ]) {
      expect(await post('/users/me/email', { email, password }, account)).toMatchObject({
        status: 403,
        body: { code },
      });
    }
    expect(await rind.mailsTo(email)).toEqual([]);
    const right = { email, password: account.password };
    expect((await post('/users/me/email', right, account)).status).toBe(202);
  });

  test('is confirmed from the new one and announced to the old one', async () => {
    const account = await verified();
    const { email, token } = await askForEmail(account);
    const reset = await forgot(account);
    expect((await userOf(account)).email).toBe(account.user.email);
    expect((await confirm(account, token)).status).toBe(204);
    expect(await userOf(account)).toMatchObject({ email, emailVerified: true });
    expect((await login(email, account.password)).status).toBe(200);
    expect((await login(account.user.email, account.password)).status).toBe(401);
    expect((await rind.mailsTo(account.user.email)).at(-1)).toMatchObject({
      kind: 'email_changed',
    });
    const body = { token: reset, password: NEW_PASSWORD };
    expect(await post('/auth/password/reset', body)).toMatchObject(invalid);
    expect(await confirm(account, token)).toMatchObject(invalid);
    expect(await actionsOf(account.id)).toEqual(
      expect.arrayContaining(['email_change_requested', 'email_changed']),
    );
  });

  test('takes no token of somebody else, and leaves that token good', async () => {
    const [account, stranger] = [await verified(), await verified()];
    const { token } = await askForEmail(account);
    expect(await confirm(stranger, token)).toMatchObject(invalid);
    expect((await confirm(account, token)).status).toBe(204);
  });

  test('needs a verified address, and the password or a recent sign-in', async () => {
    const unverified = await rind.signUp();
    const email = newEmail();
    expect(await post('/users/me/email', { email }, unverified)).toMatchObject({
      status: 403,
      body: { code: 'email_not_verified' },
    });
    const account = await verified();
    const wrong = { email, password: 'not the password' };
    expect(await post('/users/me/email', wrong, account)).toMatchObject({
      status: 403,
      body: { code: 'reauthentication_failed' },
    });
    expect(await rind.mailsTo(email)).toEqual([]);
  });

  test('to the address of somebody else is told to that owner only', async () => {
    const [account, owner] = [await verified(), await verified()];
    const { email } = owner.user;
    expect((await post('/users/me/email', { email }, account)).status).toBe(202);
    expect((await rind.mailsTo(email)).at(-1)).toMatchObject({ kind: 'address_in_use' });
  });

  test('to an address that was taken meanwhile is refused', async () => {
    const account = await verified();
    const { email, token } = await askForEmail(account);
    await post('/auth/register', { email, password: NEW_PASSWORD, displayName: 'Ada' });
    expect(await confirm(account, token)).toMatchObject({
      status: 409,
      body: { code: 'email_already_used' },
    });
    expect((await userOf(account)).email).toBe(account.user.email);
  });
});

describe('Whether an address is registered', () => {
  test.each(['/auth/email/resend', '/auth/password/forgot'])('is not told by %s', async (route) => {
    const { user } = await rind.signUp();
    const answer = async (email: string) => {
      const { status, headers, body } = await post(route, { email });
      const names = [...headers.keys()].filter((name) => name !== 'x-request-id');
      return { status, body, names };
    };
    const unknown = newEmail();
    const expected = { status: 202, body: null };
    expect(await answer(user.email)).toMatchObject(expected);
    expect(await answer(unknown)).toEqual(await answer(user.email));
    expect(await rind.mailsTo(unknown)).toEqual([]);
  });

  test('no address gets more than a few mails an hour, whoever asks', async () => {
    for (const email of [newEmail(), (await rind.signUp()).user.email]) {
      const statuses: number[] = [];
      for (const route of ['password/forgot', 'email/resend', 'password/forgot'])
        for (let count = 0; count < 2; count += 1)
          statuses.push((await post(`/auth/${route}`, { email })).status);
      expect(statuses.slice(0, 4)).toEqual([202, 202, 202, 202]);
      const { status, headers } = await post('/auth/password/forgot', { email });
      expect(status).toBe(429);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(60);
    }
  });

  test.each([
    ['/auth/register', { password: NEW_PASSWORD, displayName: 'Ada' }],
    ['/auth/email/resend', {}],
    ['/auth/password/forgot', {}],
  ])('and %s lets a captcha stand in front', async (route, body) => {
    const isSolved = jest.spyOn(rind.app.get(Captcha), 'isSolved').mockResolvedValueOnce(false);
    const email = newEmail();
    const captchaToken = 'what the widget gave';
    expect(await post(route, { ...body, email, captchaToken })).toMatchObject({
      status: 403,
      body: { code: 'captcha_failed' },
    });
    expect(isSolved).toHaveBeenCalledWith(
      captchaToken,
      expect.objectContaining({ ip: '127.0.0.1' }),
    );
    isSolved.mockRestore();
  });
});

describe('Where addresses have to be verified', () => {
  let strict: TestApp;
  beforeAll(async () => {
    strict = await TestApp.start({ env: { ...env, EMAIL_VERIFICATION_REQUIRED: 'true' } });
  });
  afterAll(() => strict.stop());

  const register = (email: string) =>
    strict.request('POST', '/auth/register', {
      body: { email, password: NEW_PASSWORD, displayName: 'Ada', device: { id: randomUUID() } },
    });
  const signIn = (email: string, password = NEW_PASSWORD) =>
    strict.request('POST', '/auth/login', { body: { email, password } });

  test('registration answers the same for every address, and the owner of a known one is told', async () => {
    const email = newEmail();
    const first = await register(email);
    expect(first).toMatchObject({ status: 202, body: { verificationRequired: true } });
    const second = await register(email);
    expect([second.status, second.body]).toEqual([first.status, first.body]);
    const kinds = (await strict.mailsTo(email)).map(({ kind }) => kind);
    expect(kinds).toEqual(['verify_email', 'address_in_use']);
    const { rows } = await strict.sql.query(
      'SELECT (SELECT count(*)::int FROM users) AS users, (SELECT count(*)::int FROM sessions) AS sessions',
    );
    expect(rows).toEqual([{ users: 1, sessions: 0 }]);
  });

  test('signing in waits for it, and only the right password learns why', async () => {
    const email = newEmail();
    await register(email);
    expect(await signIn(email)).toMatchObject({
      status: 403,
      body: { code: 'email_not_verified' },
    });
    expect(await signIn(email, 'not the password')).toMatchObject({
      status: 401,
      body: { code: 'invalid_credentials' },
    });
    const [mail] = await strict.mailsTo(email);
    const body = { token: mail!.token };
    expect((await strict.request('POST', '/auth/email/verify', { body })).status).toBe(204);
    expect((await signIn(email)).status).toBe(200);
  });
});

test('Registration can be switched off', async () => {
  const closed = await TestApp.start({ env: { REGISTRATION_ENABLED: 'false' } });
  const body = { email: newEmail(), password: NEW_PASSWORD, displayName: 'Ada' };
  const answer = await closed.request('POST', '/auth/register', { body });
  await closed.stop();
  expect(answer).toMatchObject({ status: 403, body: { code: 'registration_disabled' } });
});
