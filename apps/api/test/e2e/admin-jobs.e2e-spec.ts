import type { AuditEventPage, Problem, QueuedJob, QueuedJobPage } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { AdminUsersService } from '../../src/admin/admin-users.service.js';
import { codeBlock } from '../support/docs.js';
import { untilJobsDone } from '../support/jobs.js';
import { untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const ID = '01900000-0000-7000-8000-000000000000';

let rind: TestApp;
let admin: Account;

beforeAll(async () => {
  // Nobody does what the tests put into the queue.
  rind = await TestApp.start({ env: { WORKER: 'off' } });
  admin = await rind.signUp();
  await rind.app.get(AdminUsersService).grantAdmin(admin.user.email);
  await clear();
});
afterEach(() => clear());
afterAll(() => rind.stop());

const clear = () => rind.sql.query('DELETE FROM graphile_worker._private_jobs');

const list = async (query = '') =>
  (await request<QueuedJobPage>('GET', `/admin/jobs${query}`)).body;

const request = <Body = Problem>(method: string, path: string, { accessToken: token } = admin) =>
  rind.request<Body>(method, path, { token });

const retry = (id: string) => request<QueuedJob & Problem>('POST', `/admin/jobs/${id}/retry`);

type Row = {
  state?: 'waiting' | 'running' | 'failed';
  payload?: object;
  name?: string;
  error?: string;
};

/** The id of a job as a worker would have left it. */
async function add({ state = 'failed', payload, name = 'mail_address_in_use', error }: Row = {}) {
  const { rows } = await rind.sql.query<{ id: string }>(
    `SELECT id FROM graphile_worker.add_job($1, $2, run_at => now() + interval '1 hour', max_attempts => 3)`,
    [name, JSON.stringify(payload ?? { mailId: ID, userId: ID })],
  );
  const [{ id } = { id: '' }] = rows;
  await rind.sql.query(
    `UPDATE graphile_worker._private_jobs SET last_error = $3, attempts = CASE $2 WHEN 'failed' THEN 3 WHEN 'running' THEN 1 ELSE 0 END,
       locked_at = CASE $2 WHEN 'running' THEN now() END, locked_by = CASE $2 WHEN 'running' THEN 'pool-x' END
     WHERE id = $1`,
    [id, state, error ?? null],
  );
  return id;
}

describe('GET /admin/jobs', () => {
  test('tells of each job what it is, how it stands, and what its kind allows of its payload', async () => {
    const id = await add({ error: 'SMTP 550: <ada@example.com> is unknown' });
    const { items, nextCursor } = await list('?state=failed');
    expect(items).toEqual([
      {
        id,
        name: 'mail_address_in_use',
        state: 'failed',
        payload: { mailId: ID, userId: ID },
        attempts: 3,
        maxAttempts: 3,
        createdAt: expect.any(String),
        runAt: expect.any(String),
        lastError: 'SMTP 550: <<address>> is unknown',
      },
    ]);
    expect(nextCursor).toBeNull();
  });

  test.each([
    [
      'an address',
      'mail_old_address',
      { mailId: ID, to: 'ada@example.com', language: 'de' },
      { mailId: ID, language: 'de' },
    ],
    ['what its kind does not name', 'mail_link', { tokenId: ID, token: 'secret' }, { tokenId: ID }],
    ['nested values', 'mail_link', { tokenId: { token: 'secret' } }, {}],
    ['a kind that is unknown', 'of_another_version', { userId: ID, token: 'secret' }, {}],
    ['a list', 'mail_link', [{ tokenId: ID }], {}],
  ])('shows nothing of %s', async (_, name, payload, visible) => {
    await add({ name, payload });
    expect((await list()).items).toMatchObject([{ name, payload: visible }]);
    expect((await list()).items[0]!.payload).toEqual(visible);
  });

  test('tells states apart, newest first', async () => {
    const ids = {
      failed: await add({ state: 'failed' }),
      running: await add({ state: 'running' }),
      waiting: await add({ state: 'waiting' }),
    };
    for (const [state, id] of Object.entries(ids)) {
      expect((await list(`?state=${state}`)).items).toMatchObject([{ id, state }]);
    }
    expect((await list()).items.map(({ id }) => id)).toEqual([
      ids.waiting,
      ids.running,
      ids.failed,
    ]);
  });

  test('comes in pages, of which none repeats or misses a job that was there all the time', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.unshift(await add());
    const first = await list('?state=failed&limit=2');
    await add();
    const second = await list(`?state=failed&limit=2&cursor=${first.nextCursor}`);
    const third = await list(`?state=failed&limit=2&cursor=${second.nextCursor}`);
    const pages = [first, second, third].map(({ items }) => items.map(({ id }) => id));
    expect(pages).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
    expect(third.nextCursor).toBeNull();
  });

  test.each([
    'state=',
    'state=dead',
    'state=failed&state=waiting',
    'limit=0',
    'limit=101',
    'limit=x',
    'cursor=',
    'cursor=1',
    `cursor=${'a'.repeat(100)}`,
  ])('refuses %s', async (query) => {
    const { status, body } = await request('GET', `/admin/jobs?${query}`);
    expect([status, body.code]).toEqual([422, 'validation_failed']);
  });

  test('takes any other cursor for some place', async () => {
    await add();
    for (const cursor of [
      'A'.repeat(22),
      '_'.repeat(21) + 'w',
      `${'A'.repeat(11)}_${'A'.repeat(10)}`,
    ]) {
      expect((await request('GET', `/admin/jobs?cursor=${cursor}`)).status).toBe(200);
    }
  });
});

describe('POST /admin/jobs/:id/retry', () => {
  test('gives a failed job all its attempts again, and is on record', async () => {
    const id = await add({ error: 'refused' });
    const { status, body } = await retry(id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, state: 'waiting', attempts: 0, lastError: 'refused' });
    expect(Date.parse(body.runAt)).toBeLessThanOrEqual(Date.now() + 60_000);
    const { items } = (
      await request<AuditEventPage>('GET', '/admin/audit-events?action=job_retried&limit=1')
    ).body;
    expect(items).toMatchObject([
      {
        actorId: admin.id,
        userId: null,
        detail: { jobId: id, name: 'mail_address_in_use' },
        ip: '127.0.0.1',
      },
    ]);
  });

  test('is then done by a worker', async () => {
    const id = await add({ payload: { mailId: ID, userId: admin.id } });
    await retry(id);
    const worker = await TestApp.start({ database: rind.database });
    const mails = await worker.mailsTo(admin.user.email);
    await worker.stop();
    expect(mails).toMatchObject([{ id: ID, kind: 'address_in_use' }]);
    expect((await list()).items).toEqual([]);
  });

  test.each(['waiting', 'running'] as const)('refuses one that is %s', async (state) => {
    const id = await add({ state });
    const before = await list();
    const { status, body } = await retry(id);
    expect([status, body.code]).toEqual([409, 'job_not_failed']);
    expect(await list()).toEqual(before);
  });

  test('of two at the same moment one retries, and one finds that it has', async () => {
    const id = await add();
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query('SELECT FROM graphile_worker._private_jobs WHERE id = $1 FOR UPDATE', [id]);
    const retries = [retry(id), retry(id)];
    await untilBlocked(rind.sql, ...retries);
    await other.query('ROLLBACK');
    other.release();
    const statuses = (await Promise.all(retries)).map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([200, 409]);
  });

  test('knows no job that is done, or never was', async () => {
    const id = await add();
    await clear();
    for (const unknown of [id, '1', '999999999999999999']) {
      const { status, body } = await retry(unknown);
      expect([status, body.code]).toEqual([404, 'not_found']);
    }
  });

  test.each(['0', '-1', '1.5', 'x', ID, '9'.repeat(19), '9'.repeat(100), '%00', "1'--"])(
    'takes no id such as %s',
    async (id) => {
      const { status } = await retry(id);
      expect([400, 404, 422]).toContain(status);
      expect((await list()).items).toEqual([]);
    },
  );

  test('is for administrators', async () => {
    const id = await add();
    const user = await rind.signUp();
    for (const [method, path] of [
      ['POST', `/admin/jobs/${id}/retry`],
      ['GET', '/admin/jobs'],
    ] as const) {
      const { status, body } = await request(method, path, user);
      expect([status, body.code]).toEqual([403, 'forbidden']);
    }
    expect((await list('?state=failed')).items).toHaveLength(1);
  });
});

test('Failed jobs are forgotten after 30 days, and at once where their payload must not stay', async () => {
  const old = await add();
  await rind.sql.query(
    `UPDATE graphile_worker._private_jobs SET run_at = now() - interval '31 days' WHERE id = $1`,
    [old],
  );
  const young = await add();
  const waiting = await add({ state: 'waiting', name: 'mail_old_address', payload: {} });
  await add({ name: 'mail_old_address', payload: { to: 'ada@example.com' } });
  await rind.sql.query(`SELECT FROM graphile_worker.add_job('purge_jobs')`);
  const worker = await TestApp.start({ database: rind.database });
  await untilJobsDone(rind.sql);
  await worker.stop();
  expect((await list()).items.map(({ id }) => id)).toEqual([waiting, young]);
});

test('What only a newer version can do is found, and removed, as docs/operations.md says', async () => {
  const kept = await add({ state: 'waiting' });
  await add({ state: 'waiting', name: 'send_report' });
  await rind.sql.query(
    `UPDATE graphile_worker._private_jobs SET run_at = now() - interval '6 minutes' WHERE id <> $1`,
    [kept],
  );
  const guide = codeBlock('operations.md', 'sql', 'complete_jobs');
  const [find = '', remove = ''] = guide.split(';');
  const { rows } = await rind.sql.query(find);
  expect(rows).toEqual([{ task_identifier: 'send_report', count: '1', min: expect.any(Date) }]);
  expect((await rind.sql.query(remove)).rows).toEqual([{ count: '1' }]);
  expect((await list()).items.map(({ id }) => id)).toEqual([kept]);
});
