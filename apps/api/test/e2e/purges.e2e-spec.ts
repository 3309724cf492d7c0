import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SyncService } from '../../src/sync/sync.service.js';
import { untilJobsDone } from '../support/jobs.js';
import { type Account, TestApp } from '../support/test-app.js';

const DAY_MS = 86_400_000;

let rind: TestApp;
let account: Account;

beforeAll(async () => {
  rind = await TestApp.start();
  account = await rind.signUp();
});
afterAll(() => rind.stop());

async function purge(job: string): Promise<void> {
  await rind.sql.query('SELECT FROM graphile_worker.add_job($1)', [job]);
  await untilJobsDone(rind.sql);
}

const countOf = async (table: string, condition = 'true') => {
  const { rows } = await rind.sql.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM ${table} WHERE ${condition}`,
  );
  return rows[0]!.count;
};

/** Many rows, of which all but one have expired. */
const many = {
  sessions: `INSERT INTO sessions (id, user_id, refresh_salt, refresh_key_id, refresh_issued_at, last_used_at, expires_at)
    SELECT gen_random_uuid(), $1, '', 'key', now(), now(), now() - interval '25 hours' * sign(n)
    FROM generate_series(0, 2500) AS n`,
  mail_tokens: `INSERT INTO mail_tokens (user_id, purpose, id, email, expires_at)
    SELECT $1, 'purpose ' || n, gen_random_uuid(), 'a@example.com', now() - interval '8 days' * sign(n)
    FROM generate_series(0, 2500) AS n`,
  pending_sign_ins: `INSERT INTO pending_sign_ins (token_hash, user_id, method, expires_at)
    SELECT n::text::bytea, $1, 'password', now() + interval '1 minute' * (1 - 2 * sign(n))
    FROM generate_series(0, 2500) AS n`,
  oauth_codes: `INSERT INTO oauth_codes (id, user_id, provider, code_challenge, expires_at)
    SELECT n::text::bytea, $1, 'google', 'c', now() + interval '1 minute' * (1 - 2 * sign(n))
    FROM generate_series(0, 2500) AS n`,
  oauth_flows: `INSERT INTO oauth_flows (id, provider, return_to, code_challenge, expires_at)
    SELECT n::text::bytea, 'google' || left($1::text, 0), 'r', 'c', now() + interval '1 minute' * (1 - 2 * sign(n))
    FROM generate_series(0, 2500) AS n`,
  known_devices: `INSERT INTO known_devices (user_id, fingerprint, last_seen_at)
    SELECT $1, n::text::bytea, now() - interval '401 days' * sign(n)
    FROM generate_series(0, 2500) AS n`,
  sync_answers: `INSERT INTO sync_answers (user_id, digest, answer, created_at)
    SELECT $1, n::text::bytea, '{}', now() - interval '24 hours' * sign(n)
    FROM generate_series(0, 2500) AS n`,
  rate_limits: `INSERT INTO rate_limits (key, points, expire)
    SELECT left($1::text, 0) || 'key ' || n, 1, extract(epoch FROM now() - interval '61 minutes' * sign(n))::int8 * 1000
    FROM generate_series(0, 2500) AS n`,
} as const;

const jobs = {
  purge_auth: [
    'sessions',
    'mail_tokens',
    'pending_sign_ins',
    'oauth_flows',
    'oauth_codes',
    'known_devices',
  ],
  purge_rate_limits: ['rate_limits'],
  purge_sync: ['sync_answers'],
} as const;

describe.each(Object.entries(jobs))('The job %s', (job, tables) => {
  test.each(tables)(
    'deletes what has expired in %s, however much, and nothing else',
    async (table) => {
      const before = await countOf(table);
      await rind.sql.query(many[table], [account.id]);
      await purge(job);
      expect(await countOf(table)).toBe(before + 1);
      await purge(job);
      expect(await countOf(table)).toBe(before + 1);
    },
  );

  test.each(tables)('leaves rows of %s that somebody works on to the next time', async (table) => {
    await rind.sql.query(`DELETE FROM ${table}`);
    await rind.sql.query(many[table], [account.id]);
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query(
      `SELECT FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} LIMIT 3) FOR UPDATE`,
    );
    await purge(job);
    const left = await countOf(table);
    await other.query('ROLLBACK');
    other.release();
    expect(left).toBe(Math.max(left, 3));
    expect(left).toBeLessThanOrEqual(4);
    await purge(job);
    expect(await countOf(table)).toBe(1);
  });
});

describe('The job purge_notifications', () => {
  test('deletes those that are too old, however many, and nothing else', async () => {
    const { id: userId } = await rind.signUp();
    const now = Date.now();
    const created = Array.from({ length: 1_201 }, (_, index) => ({
      id: randomUUID(),
      type: 'welcome',
      title: 'T',
      body: 'B',
      data: '{}',
      read_at: index % 2 === 0 ? now : null,
      created_at: now - 91 * DAY_MS * Math.sign(index),
    }));
    const listIds = async () => {
      const { rows } = await rind.sql.query<{ id: string }>(
        'SELECT id FROM notifications WHERE user_id = $1 AND NOT is_deleted',
        [userId],
      );
      return rows.map(({ id }) => id).toSorted();
    };
    const young = [...(await listIds()), created[0]!.id].toSorted();
    await rind.app.get(SyncService).write(userId, { notifications: { created } });
    expect(await countOf('notifications', `user_id = '${userId}'`)).toBe(young.length + 1_200);
    await purge('purge_notifications');
    expect(await listIds()).toEqual(young);
    await purge('purge_notifications');
    expect(await listIds()).toEqual(young);
  });
});

describe('The job purge_audit', () => {
  /** An id as it was made so many days ago, UUIDv7. */
  const idOf = (days: number, n: number) => {
    const ms = (Date.now() - days * DAY_MS).toString(16).padStart(12, '0');
    return `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
  };
  const record = (days: number, count: number) =>
    rind.sql.query(
      `INSERT INTO audit_events (id, user_id, action, created_at)
       SELECT id, $2, 'signed_in', now() - make_interval(days => $3) FROM unnest($1::uuid[]) AS id`,
      [Array.from({ length: count }, (_, n) => idOf(days, n)), account.id, days],
    );

  test('deletes events older than AUDIT_RETENTION_DAYS, however many, and nothing else', async () => {
    const before = await countOf('audit_events');
    await record(366, 2_500);
    await record(364, 3);
    await purge('purge_audit');
    expect(await countOf('audit_events')).toBe(before + 3);
    await purge('purge_audit');
    expect(await countOf('audit_events')).toBe(before + 3);
  });

  test('leaves events that somebody works on to the next time', async () => {
    const before = await countOf('audit_events');
    await record(400, 2);
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query(`SELECT FROM audit_events ORDER BY id LIMIT 1 FOR UPDATE`);
    await purge('purge_audit');
    expect(await countOf('audit_events')).toBe(before + 1);
    await other.query('ROLLBACK');
    other.release();
    await purge('purge_audit');
    expect(await countOf('audit_events')).toBe(before);
  });

  test('deletes nothing where AUDIT_RETENTION_DAYS is 0', async () => {
    const keeping = await TestApp.start({ env: { AUDIT_RETENTION_DAYS: '0' } });
    const count = async () => (await keeping.sql.query('SELECT FROM audit_events')).rowCount ?? 0;
    await keeping.signUp();
    const before = await count();
    await keeping.sql.query(`UPDATE audit_events SET created_at = '2001-01-01'`);
    await keeping.sql.query(`SELECT FROM graphile_worker.add_job('purge_audit')`);
    await untilJobsDone(keeping.sql);
    expect([before > 0, await count()]).toEqual([true, before]);
    await keeping.stop();
  });
});

test.each([...Object.keys(jobs), 'purge_notifications', 'purge_audit'])(
  'The job %s is scheduled',
  async (job) => {
    const isKnown = () =>
      countOf('graphile_worker._private_known_crontabs', `identifier = '${job}'`);
    while ((await isKnown()) === 0);
  },
);
