import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { AccountExport, type Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { AdminUsersService } from '../../src/admin/admin-users.service.js';
import { AuditService } from '../../src/audit/audit.service.js';
import { PrincipalsService } from '../../src/auth/principals.service.js';
import { Spools } from '../../src/platform/spool/spools.js';
import { UsersService } from '../../src/users/users.service.js';
import { untilJobsDone } from '../support/jobs.js';
import { settle, untilLive } from '../support/notices.js';
import { hold, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';
import {
  createTestDatabase,
  dataDirectoryOf,
  type TestDatabase,
} from '../support/test-database.js';

let database: TestDatabase;
let rind: TestApp;
let other: TestApp;

beforeAll(async () => {
  database = await createTestDatabase();
  rind = await TestApp.start({ database });
  other = await TestApp.start({ database });
  await Promise.all([untilLive(rind), untilLive(other)]);
});
afterEach(() => void jest.restoreAllMocks());
afterAll(async () => {
  await rind.stop();
  await other.stop();
  await database.drop();
});

const push = ({ accessToken: token }: Account, changes: object, at = rind) =>
  at.request('POST', '/sync/push', { token, body: { changes, lastPulledAt: null } });

const project = (id: string, name = id) => ({
  id,
  name,
  description: null,
  created_at: 1,
  updated_at: 2,
});

const remove = ({ accessToken: token }: Account, body: object = {}, at = rind) =>
  at.request('DELETE', '/users/me', { token, body });

const statusAndCode = ({ status, body }: { status: number; body: Problem | null }) => [
  status,
  body?.code,
];

/** As a sign-in of long ago. */
const age = ({ session }: Account) =>
  rind.sql.query(`UPDATE sessions SET created_at = now() - interval '11 minutes' WHERE id = $1`, [
    session.id,
  ]);

/** Tables with rows of a user, by foreign keys: each is in the export, or stands here with a reason why not. */
const exported = [
  'audit_events',
  'known_devices',
  'notification_preferences',
  'notifications',
  'oauth_identities',
  'projects',
  'sessions',
  'sync_clocks',
  'tasks',
  'totp_factors',
  'user_roles',
];
const notExported = {
  pending_sign_ins: 'sign-ins that wait for a code, for five minutes',
  recovery_codes: 'digests of codes, which only prove who the user is',
  mail_tokens: 'links that were mailed, each good for a day at most',
  oauth_codes: 'codes of sign-ins under way, valid for a minute',
  sync_lost_intervals: 'versions that a restored backup took back, which say nothing of the user',
  sync_answers: 'answers to pushes of the last 24 hours, which say nothing that the records do not',
};

describe('the export of an account', () => {
  const get = async (account: Account) => {
    const token = account.accessToken;
    const { status, headers, body } = await rind.request<AccountExport>('GET', '/users/me/export', {
      token,
    });
    expect(status).toBe(200);
    return { headers, body };
  };

  test('has everything, deleted ids too, and keeps to its schema', async () => {
    const account = await rind.signUp({ deviceId: '0d8c45c5-4f9c-4fb6-bd5b-1a4c0f2f6a51' });
    const token = account.accessToken;
    await push(account, { projects: { created: [project('p1', 'a "b"\\'), project('p2')] } });
    const { body: pulled } = await rind.request<{ timestamp: number }>('GET', '/sync/pull', {
      token,
    });
    await rind.request('POST', '/sync/push', {
      token,
      body: { changes: { projects: { deleted: ['p2'] } }, lastPulledAt: pulled.timestamp },
    });
    await rind.request('PATCH', '/users/me/preferences', { token, body: { theme: 'dark' } });
    const chosen = { preferences: { welcome: { mail: true } } };
    await rind.request('PATCH', '/notifications/preferences', { token, body: chosen });
    await push(await rind.signUp(), { projects: { created: [project('foreign')] } });
    await rind.sql.query(
      `INSERT INTO oauth_identities (id, user_id, provider, subject) VALUES (gen_random_uuid(), $1, 'google', 's')`,
      [account.id],
    );

    await rind.sql.query(
      `INSERT INTO totp_factors (user_id, secret, key_id, activated_at) VALUES ($1, 'sealed', 'key', '2026-01-02T03:04:05Z')`,
      [account.id],
    );
    await rind.sql.query(`INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, 'digest')`, [
      account.id,
    ]);

    const { headers, body } = await get(account);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('content-disposition')).toBe('attachment; filename="account.json"');
    expect(AccountExport.parse(body)).toEqual(body);
    expect(body).toMatchObject({
      user: { ...account.user, updatedAt: expect.any(String) },
      preferences: { theme: 'dark' },
      notificationPreferences: { welcome: { feed: true, mail: true } },
      identities: [{ provider: 'google' }],
      secondFactor: { activeSince: '2026-01-02T03:04:05.000Z', recoveryCodesLeft: 1 },
      knownDevices: [{ lastSeenAt: expect.any(String) }],
      sessions: [
        {
          id: account.session.id,
          device: account.session.device,
          ip: '127.0.0.1',
          lastUsedAt: expect.any(String),
        },
      ],
    });
    expect(body.auditEvents.map(({ action }) => action)).toEqual([
      'account_exported',
      'signed_in',
      'registered',
    ]);
    expect(body.sync.changes['projects']).toEqual({
      created: [],
      updated: [project('p1', 'a "b"\\')],
      deleted: ['p2'],
    });
    expect(body.sync.changes['tasks']).toEqual({ created: [], updated: [], deleted: [] });
  });

  test('has nothing that proves who the user is', async () => {
    const account = await rind.signUp();
    const { rows } = await rind.sql.query(
      `SELECT password_hash, encode(refresh_salt, 'hex') AS hex, encode(refresh_salt, 'base64') AS base64, refresh_key_id
       FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id = $1`,
      [account.id],
    );
    const content = JSON.stringify((await get(account)).body);
    for (const secret of [...Object.values<string>(rows[0]), account.refreshToken]) {
      expect(content).not.toContain(secret);
    }
    expect(content).not.toMatch(/hash|salt|secret|\$argon2/i);
  });

  test('has nothing of from where an administrator acted', async () => {
    const [account, admin] = [await rind.signUp(), await rind.signUp()];
    const origin = { ip: '192.0.2.7', userAgent: 'the browser of an admin', requestId: 'r' };
    const event = { userId: account.id, actorId: admin.id };
    await rind.app.get(AuditService).record({ action: 'user_reactivated', ...event }, origin);
    expect((await get(account)).body.auditEvents[1]).toMatchObject({
      action: 'user_reactivated',
      ip: null,
      userAgent: null,
    });
  });

  test('knows every table that belongs to a user: a new one is added to it, or to the reasons why not', async () => {
    const { rows } = await rind.sql.query<{ name: string }>(
      `SELECT DISTINCT conrelid::regclass::text AS name FROM pg_constraint
       WHERE contype = 'f' AND confrelid IN ('users'::regclass, 'sync_clocks'::regclass)
         AND conrelid::regclass::text <> ALL ($1)`,
      [Object.keys(notExported)],
    );
    const known = new Set(exported);
    const unknown = rows.map(({ name }) => name).filter((name) => !known.has(name));
    // Tables of the tests' own registry are synced ones, which the export takes from it.
    const { body } = await get(await rind.signUp());
    expect(unknown.filter((name) => !(name in body.sync.changes))).toEqual([]);
  });

  test('has all of a long history, in pages', async () => {
    const account = await rind.signUp();
    const audit = rind.app.get(AuditService);
    for (let count = 0; count < 250; count += 1) {
      await audit.record({ action: 'signed_in', userId: account.id }, null);
    }
    expect((await get(account)).body.auditEvents).toHaveLength(253);
  });

  test('breaks its connection where it cannot go on, and leaves nothing behind', async () => {
    const account = await rind.signUp();
    const audit = rind.app.get(AuditService);
    jest.spyOn(audit, 'list').mockRejectedValueOnce(new Error('The database is gone'));
    const outgoing = request(`${rind.url}/api/v1/users/me/export`, {
      agent: false,
      headers: { authorization: `Bearer ${account.accessToken}` },
    });
    outgoing.end();
    await expect(
      once(outgoing, 'response').then(([answer]) => text(answer as NodeJS.ReadableStream)),
    ).rejects.toThrow(/aborted|socket hang up/);
    const spools = rind.app.get(Spools);
    while (spools.count > 0) await new Promise(setImmediate);
    expect(spools.bytes).toBe(0);
    // Nor is the next one refused.
    await get(account);
  });
});

describe('the deletion of an account', () => {
  /** The rows that refer to a user, by table. */
  async function rowsOf(userId: string): Promise<Record<string, number>> {
    const { rows } = await rind.sql.query<{ table: string; column: string }>(
      `SELECT conrelid::regclass::text AS table, attname AS column FROM pg_constraint
       JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
       WHERE contype = 'f' AND confrelid IN ('users'::regclass, 'sync_clocks'::regclass)`,
    );
    const counts: Record<string, number> = {};
    for (const { table, column } of rows) {
      const found = await rind.sql.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM ${table} WHERE ${column} = $1`,
        [userId],
      );
      if (found.rows[0]!.count > 0) counts[table] = found.rows[0]!.count;
    }
    return counts;
  }

  test('takes all that belongs to it, ends the sessions everywhere, and frees the address', async () => {
    const account = await rind.signUp();
    await push(account, { projects: { created: [project('p1')] } });
    for (const at of [rind, other]) {
      const { status } = await at.request('GET', '/users/me', { token: account.accessToken });
      expect(status).toBe(200);
    }
    expect(Object.keys(await rowsOf(account.id)).length).toBeGreaterThan(4);

    const { status, body } = await remove(account, { password: account.password });
    expect([status, body]).toEqual([204, null]);

    expect(await rowsOf(account.id)).toEqual({});
    const cached = (at: TestApp) =>
      at.app.get(PrincipalsService).findCached(account.accessToken) ?? null;
    expect(cached(rind)).toBeNull();
    await settle(other);
    expect(cached(other)).toBeNull();
    for (const at of [rind, other]) {
      const me = await at.request('GET', '/users/me', { token: account.accessToken });
      expect(statusAndCode(me)).toEqual([401, 'session_ended']);
    }
    const { email } = account.user;
    const login = { email, password: account.password };
    expect((await rind.request('POST', '/auth/login', { body: login })).status).toBe(401);
    const again = { ...login, displayName: 'Again' };
    expect((await rind.request('POST', '/auth/register', { body: again })).status).toBe(201);
  });

  test('takes the jobs about it, those of an earlier version apart, which then do nothing', async () => {
    const [account, neighbour] = [await rind.signUp(), await rind.signUp()];
    // As retries that wait.
    const add = (name: string, payload: object) =>
      rind.sql.query(
        `SELECT FROM graphile_worker.add_job($1, $2, run_at => now() + interval '1 hour')`,
        [name, JSON.stringify(payload)],
      );
    const mailId = '01900000-0000-7000-8000-000000000001';
    for (const userId of [account.id, neighbour.id]) {
      await add('mail_address_in_use', { mailId, userId });
      await add('mail_link', { tokenId: mailId, userId });
      await add('mail_old_address', { mailId, to: 'a@example.com', language: 'en', userId });
    }
    await add('mail_link', { tokenId: mailId });
    await remove(account);
    // The goodbye.
    await untilJobsDone(rind.sql);
    const { rows } = await rind.sql.query<{ userId: string | null }>(
      `DELETE FROM graphile_worker._private_jobs RETURNING payload->>'userId' AS "userId"`,
    );
    expect(rows.map(({ userId }) => userId)).toEqual([...Array(3).fill(neighbour.id), null]);
    await rind.sql.query(`SELECT FROM graphile_worker.add_job('mail_link', $1)`, [
      JSON.stringify({ tokenId: mailId }),
    ]);
    await untilJobsDone(rind.sql);
  });

  test('says goodbye, and takes the other mails to the user out of the outbox', async () => {
    const [account, neighbour] = [await rind.signUp(), await rind.signUp()];
    await rind.sql.query(`UPDATE users SET language = 'de' WHERE id = $1`, [account.id]);
    const kinds = async ({ user: { email } }: Account) =>
      (await rind.mailsTo(email)).map(({ kind, language }) => `${kind} ${language}`);
    expect(await kinds(account)).toEqual(['verify_email en']);
    await remove(account, { password: account.password });
    expect(await kinds(account)).toEqual(['account_deleted de']);
    expect(await kinds(neighbour)).toEqual(['verify_email en']);
    const outbox = path.join(dataDirectoryOf(rind.database.url), 'outbox');
    const files = await readdir(outbox);
    expect(files.filter((file) => file.endsWith('.html'))).toHaveLength(
      files.filter((file) => file.endsWith('.json')).length,
    );
    const { rows } = await rind.sql.query(
      `SELECT FROM graphile_worker.jobs WHERE task_identifier = 'mail_goodbye'`,
    );
    expect(rows).toEqual([]);
  });

  test('clears the cookies of a browser', async () => {
    const password = 'correct horse battery';
    const signedUp = await rind.request('POST', '/auth/register', {
      headers: { 'x-token-transport': 'cookie' },
      body: { email: 'browser@example.com', password, displayName: 'Browser' },
    });
    const cookies = signedUp.headers.getSetCookie();
    const { status, headers } = await rind.request('DELETE', '/users/me', {
      headers: { cookie: cookies.map((cookie) => cookie.split(';', 1)[0]).join('; ') },
      body: {},
    });
    expect(status).toBe(204);
    const expired = headers.getSetCookie();
    expect(expired).toHaveLength(cookies.length);
    for (const cookie of expired) expect(cookie).toMatch(/Max-Age=0|Expires=Thu, 01 Jan 1970/);
  });

  test('is told by an event in which nothing personal is left', async () => {
    const account = await rind.signUp();
    const { rows: before } = await rind.sql.query(
      'SELECT audit_subject_id AS id FROM users WHERE id = $1',
      [account.id],
    );
    await remove(account);
    const { rows } = await rind.sql.query(
      'SELECT action, user_id, ip, user_agent, detail FROM audit_events WHERE subject_id = $1 ORDER BY id DESC',
      [before[0].id],
    );
    const cleared = { user_id: null, ip: null, user_agent: null, detail: null };
    expect(rows).toEqual(
      ['account_deleted', 'signed_in', 'registered'].map((action) => ({ action, ...cleared })),
    );
  });

  test('needs the password, or a sign-in of the last minutes', async () => {
    const account = await rind.signUp();
    expect(statusAndCode(await remove(account, { password: 'wrong' }))).toEqual([
      403,
      'reauthentication_failed',
    ]);
    await age(account);
    expect(statusAndCode(await remove(account))).toEqual([403, 'reauthentication_required']);
    expect(statusAndCode(await remove(account, { password: 1 }))).toEqual([
      422,
      'validation_failed',
    ]);
    expect((await remove(account, { password: account.password })).status).toBe(204);
  });

  test('lets others be, and what they own', async () => {
    const [account, neighbour] = [await rind.signUp(), await rind.signUp()];
    await push(neighbour, { projects: { created: [project('p1')] } });
    const before = await rowsOf(neighbour.id);
    await remove(account);
    expect(await rowsOf(neighbour.id)).toEqual(before);
  });

  test('is refused to the last administrator', async () => {
    const admins = [await rind.signUp(), await rind.signUp()];
    for (const { user } of admins) await rind.app.get(AdminUsersService).grantAdmin(user.email);
    const seam = hold(rind.app.get(UsersService), 'delete', 'before');
    const first = remove(admins[0]!, {}, rind);
    await seam.reached;
    const second = remove(admins[1]!, {}, other);
    await untilBlocked(rind.sql, second);
    seam.release();
    expect((await first).status).toBe(204);
    expect(statusAndCode(await second)).toEqual([409, 'last_admin']);
  });

  test('a push behind it is refused: the clock is locked to the end', async () => {
    const account = await rind.signUp();
    const seam = hold(rind.app.get(UsersService), 'delete', 'before');
    const deletion = remove(account);
    await seam.reached;
    const late = push(account, { projects: { created: [project('p1')] } }, other);
    await untilBlocked(rind.sql, late);
    seam.release();
    expect((await deletion).status).toBe(204);
    expect(statusAndCode(await late)).toEqual([401, 'session_ended']);
    expect(await rowsOf(account.id)).toEqual({});
  });

  test('twice at once: one finds nobody', async () => {
    const account = await rind.signUp();
    const seam = hold(rind.app.get(UsersService), 'delete', 'before');
    const first = remove(account);
    await seam.reached;
    const second = remove(account, {}, other);
    await untilBlocked(rind.sql, second);
    seam.release();
    expect((await first).status).toBe(204);
    expect(statusAndCode(await second)).toEqual([401, 'session_ended']);
  });
});
