import { randomBytes, randomUUID } from 'node:crypto';
import type { AuthResult, MfaRequired, RecoveryCodes, TotpEnrolment } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Secret } from 'otpauth';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import { appOf } from '../support/authenticator.js';
import { spellings } from '../support/secret-finder.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** Something that is told apart from all other text, even in part. */
const newSecret = (name: string) => `${name}-${randomBytes(18).toString('hex')}`;

describe('secrets are written down nowhere', () => {
  const secrets = new Map<string, string | Buffer>();
  const email = `${randomUUID()}@example.com`;
  let database: TestDatabase;
  let sql: pg.Pool;
  let log: string;
  let dump: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Pool({ connectionString: database.url, max: 1 });
    const api = await ApiProcess.start({
      DATABASE_URL: database.url,
      JWT_SECRET: keep('JWT secret', newSecret('secret')),
      JWT_SECRET_PREVIOUS: keep('previous JWT secret', newSecret('previous')),
      ENCRYPTION_KEY: keep('encryption key', newSecret('encryption')),
      LOG_LEVEL: 'trace',
      RATE_LIMIT_AUTH_PER_MINUTE: '100',
    });
    await useUp(api);
    await useSecondFactor(api);
    dump = await dumpAllTables();
    await breakAndUse(api);
    await api.stop();
    log = api.output;
  });
  afterAll(async () => {
    await sql?.end();
    await database?.drop();
  });

  function keep(name: string, secret: string): string {
    secrets.set(name, secret);
    return secret;
  }

  function keepTokens(name: string, { user, accessToken, refreshToken }: AuthResult): AuthResult {
    keep(`${name} access token`, accessToken!);
    keep(`signature of the ${name} access token`, accessToken!.split('.')[2]!);
    keep(`${name} refresh token`, refreshToken!);
    // What makes it a token: in binary, as a column might hold it.
    secrets.set(
      `MAC of the ${name} refresh token`,
      Buffer.from(refreshToken!, 'base64url').subarray(20),
    );
    return { user, accessToken, refreshToken } as AuthResult;
  }

  /** A whole life with its mistakes. */
  async function useUp(api: ApiProcess): Promise<void> {
    const password = keep('password', newSecret('password'));
    const device = { id: randomUUID(), name: 'Pixel' };
    const registered = await api.request<AuthResult>('POST', '/auth/register', {
      body: { email, password, displayName: 'Ada', device },
    });
    expect(registered.status).toBe(201);
    keepTokens('first', registered.body);
    const login = (body: unknown) => api.request<AuthResult>('POST', '/auth/login', { body });
    const second = await login({ email, password, device });
    const { accessToken: token, refreshToken } = keepTokens('second', second.body);

    const wrong = keep('wrong password', newSecret('wrong'));
    expect((await login({ email, password: wrong })).status).toBe(401);
    expect((await login({ email: `x${email}`, password: wrong })).status).toBe(401);
    expect((await login({ email, password: [wrong] })).status).toBe(422);
    expect((await login({ email: password, password: wrong })).status).toBe(422);
    expect((await login(`{"email":"${email}","password":"${wrong}"`)).status).toBe(400);
    expect((await login(wrong)).status).toBe(400);

    const refresh = (body: unknown, query = '') =>
      api.request<AuthResult>('POST', `/auth/refresh${query}`, { body });
    const third = await refresh({ refreshToken }, `?refreshToken=${refreshToken}`);
    expect(third.status).toBe(200);
    keepTokens('third', third.body);
    expect((await refresh({ refreshToken: token })).status).toBe(401);
    const fourth = await refresh({ refreshToken: third.body.refreshToken });
    keepTokens('fourth', fourth.body);
    expect((await refresh({ refreshToken })).status).toBe(401);

    const fifth = keepTokens('fifth', (await login({ email, password, device })).body);
    const me = (accessToken: string) =>
      api.request('GET', `/users/me?access_token=${accessToken}`, { token: accessToken });
    expect((await me(fifth.accessToken!)).status).toBe(200);
    expect((await me(fifth.accessToken!.slice(0, -1))).status).toBe(401);
    expect((await me(fifth.refreshToken!)).status).toBe(401);
    const sixth = keepTokens('sixth', (await login({ email, password })).body);
    const logout = await api.request('POST', '/auth/logout', { token: sixth.accessToken! });
    expect(logout.status).toBe(204);
  }

  /** With what is wrong at each step, and a sign-in that is left half done. */
  async function useSecondFactor(api: ApiProcess): Promise<void> {
    const person = { email: `${randomUUID()}@example.com`, password: newSecret('password') };
    const registered = await api.request<AuthResult>('POST', '/auth/register', {
      body: { ...person, displayName: 'Bob' },
    });
    const { user, accessToken: token = '' } = keepTokens('registered', registered.body);
    await sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [user.id]);
    const enrolled = await api.request<TotpEnrolment>('POST', '/auth/mfa/totp', {
      token,
      body: {},
    });
    const secret = keep('secret of the authenticator app', enrolled.body.secret);
    secrets.set('its bytes', Buffer.from(Secret.fromBase32(secret).bytes));
    const activated = await api.request<RecoveryCodes>('POST', '/auth/mfa/totp/activate', {
      token,
      body: { code: appOf(enrolled.body).generate() },
    });
    const { recoveryCodes } = activated.body;
    for (const [index, code] of recoveryCodes.entries()) {
      keep(`recovery code ${index}`, code);
      keep(`recovery code ${index} without dashes`, code.replaceAll('-', '').toUpperCase());
    }
    const begin = async (name: string) => {
      const { body } = await api.request<MfaRequired>('POST', '/auth/login', { body: person });
      secrets.set(`bytes of the ${name} mfaToken`, Buffer.from(body.mfaToken, 'base64url'));
      return keep(`${name} mfaToken`, body.mfaToken);
    };
    const verify = (mfaToken: string, code: unknown) =>
      api.request<AuthResult>('POST', '/auth/mfa/verify', { body: { mfaToken, code } });
    const mfaToken = await begin('first');
    const wrong = keep('wrong recovery code', randomBytes(20).toString('hex').slice(0, 19));
    expect((await verify(mfaToken, wrong)).status).toBe(403);
    expect((await verify(mfaToken, [recoveryCodes[0]])).status).toBe(422);
    expect((await verify(recoveryCodes[0]!, mfaToken)).status).toBe(401);
    const { status, body } = await verify(mfaToken, recoveryCodes[0]!);
    expect(status).toBe(200);
    keepTokens('second factor', body);
    await begin('second');
  }

  /** What fails unforeseen is logged with its cause. */
  async function breakAndUse(api: ApiProcess): Promise<void> {
    await sql.query('ALTER TABLE users RENAME COLUMN display_name TO name');
    const password = keep('password of a failed registration', newSecret('password'));
    const { status } = await api.request('POST', '/auth/register', {
      body: { email: `${randomUUID()}@example.com`, password, displayName: 'Ada' },
    });
    expect(status).toBe(500);
    const refreshed = await api.request('POST', '/auth/refresh', {
      body: { refreshToken: secrets.get('fifth refresh token') },
    });
    expect(refreshed.status).toBe(500);
  }

  async function dumpAllTables(): Promise<string> {
    const { rows: tables } = await sql.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    const dumps = tables.map(async ({ name }) => {
      const { rows } = await sql.query<{ row: unknown }>(
        `SELECT row_to_json(t)::text AS row FROM ${name} t`,
      );
      return [name, ...rows.map(({ row }) => row)].join('\n');
    });
    return (await Promise.all(dumps)).join('\n');
  }

  function expectNone(text: string): void {
    const found = [...secrets].filter(([, secret]) =>
      spellings(secret).some((spelling) => text.includes(spelling)),
    );
    expect(found.map(([name]) => name)).toEqual([]);
  }

  test('the log tells everything that happened, and no secret', () => {
    const lines = log.trim().split('\n');
    expect(() => lines.map((line) => JSON.parse(line) as unknown)).not.toThrow();
    expect(lines.filter((line) => line.includes('Request answered')).length).toBeGreaterThan(20);
    expect(lines.filter((line) => line.includes('Request failed'))).toHaveLength(2);
    expect(log).toContain('A refresh token was reused');
    expectNone(log);
  });

  test('nor the hash of a password, nor who is signing in', () => {
    expect(log).not.toContain('$argon2');
    expect(log).not.toContain(email);
  });

  test('the tables hold the account and its session, and no secret', () => {
    expect(dump).toContain(email);
    expect(dump).toContain('$argon2id$');
    expect(dump).toContain('"device_name":"Pixel"');
    for (const table of ['totp_factors', 'recovery_codes', 'pending_sign_ins'])
      expect(dump).toMatch(new RegExp(`public\\.${table}\\n{`));
    expectNone(dump);
  });
});
