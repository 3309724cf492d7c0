import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { AdminUser, AdminUserPage, AuditEventPage, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { AdminUsersService } from '../../src/admin/admin-users.service.js';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { UsersService } from '../../src/users/users.service.js';
import { settle, untilLive } from '../support/notices.js';
import { hold, type Seam, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const NOBODY = '01900000-0000-7000-8000-000000000000';

let database: TestDatabase;
let rind: TestApp;
let other: TestApp;
let admin: Account;
const seams: Seam[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  rind = await TestApp.start({ database });
  other = await TestApp.start({ database });
  await Promise.all([untilLive(rind), untilLive(other)]);
  admin = await signUpAdmin();
});
afterEach(async () => {
  seams.splice(0).forEach((seam) => seam.release());
  // One administrator before each test.
  await rind.sql.query(`DELETE FROM user_roles WHERE role_name = 'admin' AND user_id <> $1`, [
    admin.id,
  ]);
  await rind.sql.query(`INSERT INTO user_roles VALUES ($1, 'admin') ON CONFLICT DO NOTHING`, [
    admin.id,
  ]);
  await Promise.all([settle(rind), settle(other)]);
});
afterAll(async () => {
  await rind.stop();
  await other.stop();
  await database.drop();
});

async function signUpAdmin(): Promise<Account> {
  const account = await rind.signUp();
  await rind.app.get(AdminUsersService).grantAdmin(account.user.email.toUpperCase());
  return account;
}

const get = <Body = Problem>(path: string, { accessToken: token }: Account = admin, at = rind) =>
  at.request<Body>('GET', path, { token });

const patch = (
  { id }: { id: string },
  body: object,
  { accessToken: token } = admin,
  at = rind,
): Promise<{ status: number; body: AdminUser & Problem }> =>
  at.request('PATCH', `/admin/users/${id}`, { token, body });

const statusAndCode = ({ status, body }: { status: number; body: Partial<Problem> | null }) => [
  status,
  body?.code,
];

const eventsOf = async ({ id }: Account) =>
  (await get<AuditEventPage>(`/admin/audit-events?userId=${id}`)).body.items;

describe('the role of an administrator', () => {
  test('is asked for, and named in the refusal', async () => {
    const account = await rind.signUp();
    for (const path of ['/admin/users', '/admin/audit-events', `/users/${account.id}`]) {
      expect(statusAndCode(await get(path, account))).toEqual([403, 'forbidden']);
    }
    expect(statusAndCode(await patch(account, { roles: ['admin'] }, account))).toEqual([
      403,
      'forbidden',
    ]);
  });

  test('counts from the next request on, on every instance, and no longer than it is held', async () => {
    const account = await rind.signUp();
    expect((await get('/admin/users', account, other)).status).toBe(403);
    expect((await patch(account, { roles: ['user', 'admin'] })).body.roles).toEqual([
      'admin',
      'user',
    ]);
    // The instance that made the change waits for no announcement.
    expect((await get('/admin/users', account)).status).toBe(200);
    await settle(other);
    expect((await get('/admin/users', account, other)).status).toBe(200);

    await patch(account, { roles: ['user'] });
    expect((await get('/admin/users', account)).status).toBe(403);
    await settle(other);
    expect((await get('/admin/users', account, other)).status).toBe(403);
  });

  test('is recorded with who gave it and what was before, and only when something changed', async () => {
    const account = await rind.signUp();
    await patch(account, { roles: ['admin', 'user', 'user'] });
    await patch(account, { roles: ['user', 'admin'] });
    const [changed, ...earlier] = await eventsOf(account);
    expect(changed).toMatchObject({
      action: 'roles_changed',
      userId: account.id,
      actorId: admin.id,
      detail: { before: ['user'], after: ['admin', 'user'] },
      ip: '127.0.0.1',
    });
    expect(earlier.map(({ action }) => action)).toEqual(['signed_in', 'registered']);
  });
});

describe('the last administrator', () => {
  const refused = [409, 'last_admin'];

  test('stays one, and active', async () => {
    const inactive = await signUpAdmin();
    await patch(inactive, { isActive: false });
    expect(statusAndCode(await patch(admin, { roles: ['user'] }))).toEqual(refused);
    expect(statusAndCode(await patch(admin, { isActive: false }))).toEqual(refused);
    expect(statusAndCode(await patch(admin, { isActive: false, roles: [] }))).toEqual(refused);
    expect((await get<AdminUser>(`/users/${admin.id}`)).body).toMatchObject({
      roles: ['admin', 'user'],
      isActive: true,
    });
    expect((await patch(admin, { roles: ['admin'], isActive: true })).status).toBe(200);
  });

  test('two who leave at the same time on two instances: one of them stays', async () => {
    const second = await signUpAdmin();
    const seam = hold(rind.app.get(UsersService), 'setRoles', 'before');
    seams.push(seam);
    const first = patch(admin, { roles: ['user'] }, admin, rind);
    await seam.reached;
    const late = patch(second, { roles: ['user'] }, second, other);
    await untilBlocked(rind.sql, late);
    seam.release();
    expect((await first).status).toBe(200);
    expect(statusAndCode(await late)).toEqual(refused);
  });

  test('two who take the role from each other at the same time: the later one has lost it', async () => {
    const second = await signUpAdmin();
    const seam = hold(rind.app.get(UsersService), 'setRoles', 'before');
    seams.push(seam);
    const first = patch(second, { roles: ['user'] }, admin, rind);
    await seam.reached;
    const late = patch(admin, { roles: ['user'] }, second, other);
    await untilBlocked(rind.sql, late);
    seam.release();
    expect((await first).status).toBe(200);
    expect(statusAndCode(await late)).toEqual([403, 'forbidden']);
    expect((await get<AdminUser>(`/users/${admin.id}`)).body.roles).toContain('admin');
  });
});

describe('deactivating', () => {
  test('ends the sessions on every instance, and keeps the user from signing in; reactivating allows it again', async () => {
    const account = await rind.signUp();
    for (const at of [rind, other]) expect((await get('/users/me', account, at)).status).toBe(200);
    const { body } = await patch(account, { isActive: false });
    expect(body).toMatchObject({ id: account.id, isActive: false });
    expect(statusAndCode(await get('/users/me', account))).toEqual([401, 'session_ended']);
    await settle(other);
    expect(statusAndCode(await get('/users/me', account, other))).toEqual([401, 'session_ended']);
    const { rows } = await rind.sql.query('SELECT FROM sessions WHERE user_id = $1', [account.id]);
    expect(rows).toEqual([]);
    const login = () =>
      rind.request('POST', '/auth/login', {
        body: { email: account.user.email, password: account.password },
      });
    expect(statusAndCode(await login())).toEqual([403, 'account_deactivated']);

    expect((await patch(account, { isActive: true })).body.isActive).toBe(true);
    expect((await get('/users/me', account)).status).toBe(401);
    expect((await login()).status).toBe(200);
    expect((await eventsOf(account)).map(({ action, actorId }) => [action, actorId])).toEqual([
      ['signed_in', null],
      ['user_reactivated', admin.id],
      ['sign_in_refused', null],
      ['user_deactivated', admin.id],
      ['session_ended', null],
      ['signed_in', null],
      ['registered', null],
    ]);
  });

  test('a push behind it is refused, and one before it is waited for: the clock is locked to the end', async () => {
    const account = await rind.signUp();
    const seam = hold(rind.app.get(SessionsRepository), 'deleteAll', 'before');
    seams.push(seam);
    const deactivation = patch(account, { isActive: false });
    await seam.reached;
    const changes = { projects: { deleted: ['p1'] } };
    const push = other.request('POST', '/sync/push', {
      token: account.accessToken,
      body: { changes, lastPulledAt: 0 },
    });
    await untilBlocked(rind.sql, push);
    seam.release();
    expect((await deactivation).status).toBe(200);
    expect(statusAndCode(await push)).toEqual([401, 'session_ended']);
  });
});

describe('changing a user', () => {
  test.each([
    ['an unknown role', { roles: ['owner'] }, '/roles/0'],
    ['roles that are no list', { roles: 'admin' }, '/roles'],
    ['an activity that is no boolean', { isActive: 'false' }, '/isActive'],
  ])('%s is refused', async (_, body, pointer) => {
    const answer = await patch(admin, body);
    expect(statusAndCode(answer)).toEqual([422, 'validation_failed']);
    expect(answer.body.errors).toMatchObject([{ pointer }]);
  });

  test('an id that nobody has is unknown, one that is none is refused', async () => {
    expect(statusAndCode(await patch({ id: NOBODY }, { isActive: true }))).toEqual([
      404,
      'not_found',
    ]);
    expect(statusAndCode(await get(`/users/${NOBODY}`))).toEqual([404, 'not_found']);
    expect(statusAndCode(await get('/users/1'))).toEqual([422, 'validation_failed']);
    expect(statusAndCode(await patch({ id: '1' }, {}))).toEqual([422, 'validation_failed']);
  });
});

describe('the list of users', () => {
  const list = async (query: string) =>
    (await get<AdminUserPage>(`/admin/users?${query}`)).body.items.map(({ id }) => id);

  test('pages through all of them, newest first, each once, whoever comes meanwhile', async () => {
    const accounts = [await rind.signUp(), await rind.signUp(), await rind.signUp()];
    const { rows } = await rind.sql.query<{ id: string }>('SELECT id FROM users ORDER BY id DESC');
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor && `&cursor=${cursor}`;
      const { body } = await get<AdminUserPage>(`/admin/users?limit=2${query}`);
      expect(body.items.length).toBeGreaterThan(0);
      seen.push(...body.items.map(({ id }) => id));
      cursor = body.nextCursor;
      await rind.signUp();
    }
    expect(seen).toEqual(rows.map(({ id }) => id));
    expect(seen.slice(0, 3)).toEqual(accounts.map(({ id }) => id).toReversed());
  });

  test('is searched by address and name, in any case, with nothing but the letters given', async () => {
    const [ada, ben] = [await rind.signUp(), await rind.signUp()];
    await rind.sql.query(`UPDATE users SET display_name = 'Ada 100%_\\' WHERE id = $1`, [ada.id]);
    expect(await list(`search=ADA+100`)).toEqual([ada.id]);
    expect(await list(`search=${encodeURIComponent('%_\\')}`)).toEqual([ada.id]);
    expect(await list('search=%25')).toEqual([ada.id]);
    expect(await list(`search=${encodeURIComponent(ben.user.email.toUpperCase())}`)).toEqual([
      ben.id,
    ]);
    expect(await list('search=nobody+at+all')).toEqual([]);
  });

  test('is filtered by role and activity', async () => {
    const account = await rind.signUp();
    await patch(account, { isActive: false });
    expect(await list('role=admin')).toEqual([admin.id]);
    expect(await list('active=false')).toContain(account.id);
    expect(await list('active=true')).not.toContain(account.id);
    expect(await list('active=false&role=admin')).toEqual([]);
  });

  test('tells nothing secret', async () => {
    const { body } = await get<AdminUserPage>('/admin/users?role=admin');
    expect(body).toEqual({
      items: [{ ...admin.user, roles: ['admin', 'user'], isActive: true }],
      nextCursor: null,
    });
  });

  test.each([
    'limit=0',
    'limit=101',
    'limit=1.5',
    'limit=',
    'limit=1&limit=2',
    'cursor=',
    'cursor=abc',
    `cursor=${'%00'.repeat(22)}`,
    `cursor=${NOBODY}`,
    'role=owner',
    'active=maybe',
    'search=',
    `search=${'x'.repeat(101)}`,
  ])('refuses %s', async (query) => {
    expect(statusAndCode(await get(`/admin/users?${query}`))).toEqual([422, 'validation_failed']);
  });

  test.each(['users', 'audit-events'])(
    'takes any other cursor for some place, in %s',
    async (of) => {
      for (const cursor of ['A'.repeat(22), 'B'.repeat(22), '_'.repeat(22)]) {
        expect((await get(`/admin/${of}?cursor=${cursor}`)).status).toBe(200);
      }
    },
  );
});

describe('the list of audit events', () => {
  const list = async (query: string) =>
    (await get<AuditEventPage>(`/admin/audit-events?${query}`)).body.items;

  test('is filtered by user, action and time, and paged', async () => {
    const account = await rind.signUp();
    for (let count = 0; count < 3; count += 1) {
      await rind.request('POST', '/auth/login', {
        body: { email: account.user.email, password: 'wrong' },
      });
    }
    const all = await list(`userId=${account.id}`);
    expect(all.map(({ action }) => action)).toEqual([
      'sign_in_refused',
      'sign_in_refused',
      'sign_in_refused',
      'signed_in',
      'registered',
    ]);
    expect(await list(`userId=${account.id}&action=signed_in`)).toEqual([all[3]]);

    const [from, to] = [all[3]!.createdAt, all[1]!.createdAt];
    const between = all.filter(({ createdAt }) => createdAt >= from && createdAt < to);
    expect(between.length).toBeGreaterThan(0);
    expect(await list(`userId=${account.id}&from=${from}&to=${to}`)).toEqual(between);
    expect(await list(`userId=${account.id}&from=2000-01-01T00:00:00Z`)).toEqual(all);
    expect(await list(`userId=${account.id}&to=2000-01-01T00:00:00Z`)).toEqual([]);

    const query = `/admin/audit-events?userId=${account.id}&limit=3`;
    const { body: first } = await get<AuditEventPage>(query);
    const { body: second } = await get<AuditEventPage>(`${query}&cursor=${first.nextCursor}`);
    expect([...first.items, ...second.items]).toEqual(all);
    expect(second.nextCursor).toBeNull();
  });

  test.each(['userId=1', 'action=flown', 'from=yesterday', 'to=2026-01-01', 'cursor=1', 'limit=x'])(
    'refuses %s',
    async (query) => {
      expect(statusAndCode(await get(`/admin/audit-events?${query}`))).toEqual([
        422,
        'validation_failed',
      ]);
    },
  );
});

describe('granting from the command line', () => {
  const run = (...words: string[]) =>
    promisify(execFile)(process.execPath, ['apps/api/dist/grant-admin.js', ...words], {
      cwd: new URL('../../../..', import.meta.url),
      env: { ...process.env, DATABASE_URL: database.url, DATABASE_DIRECT_URL: '' },
    });

  test('makes a registered user an administrator, is recorded, and may be repeated', async () => {
    const account = await rind.signUp();
    for (let count = 0; count < 2; count += 1) {
      const { stdout } = await run(` ${account.user.email.toUpperCase()}`);
      expect(stdout).toBe(`${account.user.email} has the roles admin, user.\n`);
    }
    expect((await get('/admin/users', account)).status).toBe(200);
    const granted = (await eventsOf(account)).filter(({ action }) => action === 'roles_changed');
    expect(granted).toMatchObject([{ actorId: null, ip: null }]);
  });

  test('names what is wrong', async () => {
    await expect(run('nobody@example.com')).rejects.toMatchObject({
      code: 1,
      stderr: 'Nobody is registered as nobody@example.com: register first.\n',
    });
    await expect(run()).rejects.toMatchObject({ code: 2 });
    expect((await run('--help')).stdout).toContain('npm run admin:grant EMAIL');
  });
});
