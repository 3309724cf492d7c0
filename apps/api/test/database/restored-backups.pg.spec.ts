import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { markRestored } from '../../../../prisma/restored/mark-restored.ts';
import { untilBlocked } from '../support/seams.js';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test-database.js';

interface Clock {
  version: number;
  floor: number;
  timeline: string;
}

const DAY_MS = 86_400_000;

let database: TestDatabase;
let sql: pg.Pool;

beforeEach(async () => {
  database = await createTestDatabase();
  sql = openPool(database.url);
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    types: {
      getTypeParser: (oid, format) =>
        oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
    },
  });
  pool.on('error', () => undefined);
  return pool;
}

async function addClock(version: number, floor = 0): Promise<string> {
  const id = randomUUID();
  await sql.query(
    `WITH u AS (INSERT INTO users (id, email, display_name) VALUES ($1::uuid, $1::uuid::text, 'Ada') RETURNING id)
     INSERT INTO sync_clocks SELECT id, $2, $3, gen_random_uuid() FROM u`,
    [id, version, floor],
  );
  return id;
}

async function clockOf(userId: string): Promise<Clock> {
  const { rows } = await sql.query<Clock>(
    'SELECT version, floor, timeline FROM sync_clocks WHERE user_id = $1',
    [userId],
  );
  return rows[0]!;
}

async function databaseNow(): Promise<number> {
  const { rows } = await sql.query<{ now: number }>(
    'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now',
  );
  return rows[0]!.now;
}

async function notice(pool: pg.Pool | pg.Client = sql) {
  const { rows } = await pool.query<{ differences: string[]; clocks: number | null }>(
    'SELECT * FROM sync_notice_restore()',
  );
  return rows[0]!;
}

const unchanged = { differences: [], clocks: null };

describe('the step after a restored backup', () => {
  test('moves every clock above all that an earlier server may have given out, and keeps the interval', async () => {
    const ada = await addClock(1000, 10);
    const ben = await addClock(2000);
    const [before, bens] = [await clockOf(ada), await clockOf(ben)];
    const startedMs = await databaseNow();
    expect(await markRestored(database.url)).toBe(2);
    const after = await clockOf(ada);
    // Also a server whose clock was wrong by any time zone.
    expect(after.version).toBeGreaterThanOrEqual(startedMs + DAY_MS);
    expect(after.version).toBeLessThanOrEqual((await databaseNow()) + DAY_MS);
    expect(after.floor).toBe(10);
    const timelines = [before, bens, after, await clockOf(ben)].map(({ timeline }) => timeline);
    expect(new Set(timelines).size).toBe(4);
    const { rows } = await sql.query(
      `SELECT lost_from, lost_to, timeline_before, timeline_after FROM sync_lost_intervals
       WHERE user_id = $1`,
      [ada],
    );
    expect(rows).toEqual([
      {
        lost_from: 1000,
        lost_to: after.version,
        timeline_before: before.timeline,
        timeline_after: after.timeline,
      },
    ]);
  });

  test('moves a clock that is far ahead of the time by one, and may be repeated at once', async () => {
    const ahead = (await databaseNow()) + 10 * DAY_MS;
    const user = await addClock(ahead);
    await markRestored(database.url);
    await markRestored(database.url);
    expect((await clockOf(user)).version).toBe(ahead + 2);
    const { rows } = await sql.query(
      'SELECT lost_from, lost_to FROM sync_lost_intervals ORDER BY lost_from',
    );
    expect(rows).toEqual([
      { lost_from: ahead, lost_to: ahead + 1 },
      { lost_from: ahead + 1, lost_to: ahead + 2 },
    ]);
  });

  test('waits for a push under way, while others read', async () => {
    const user = await addClock(1000);
    const push = new pg.Client({ connectionString: database.url });
    await push.connect();
    await push.query('BEGIN');
    await push.query('SELECT FROM sync_clocks FOR UPDATE');
    const marked = markRestored(database.url);
    await untilBlocked(sql, marked);
    expect((await clockOf(user)).version).toBe(1000);
    await push.query('UPDATE sync_clocks SET version = 1001');
    await push.query('COMMIT');
    await push.end();
    expect(await marked).toBe(1);
    const { rows } = await sql.query('SELECT lost_from FROM sync_lost_intervals');
    expect(rows).toEqual([{ lost_from: 1001 }]);
  });

  test('waits for an instance that is noticing the backup, which then does the step itself', async () => {
    await addClock(1000);
    const instance = new pg.Client({ connectionString: database.url });
    await instance.connect();
    // As sync_notice_restore() has begun.
    await instance.query('BEGIN; LOCK TABLE sync_marker IN EXCLUSIVE MODE');
    const marked = markRestored(database.url);
    marked.catch(() => undefined);
    await untilBlocked(sql, marked);
    await instance.query('SELECT sync_mark_restored(); COMMIT');
    await instance.end();
    expect(await marked).toBe(1);
  });

  test('leaves nothing of an account that is deleted', async () => {
    const user = await addClock(1000);
    await markRestored(database.url);
    await sql.query('DELETE FROM users WHERE id = $1', [user]);
    expect((await sql.query('SELECT FROM sync_lost_intervals')).rowCount).toBe(0);
  });
});

describe('the marker', () => {
  test('says nothing about the database that it was made in', async () => {
    expect(await notice()).toEqual(unchanged);
    // What maintenance does changes nothing.
    await sql.query('VACUUM ANALYZE sync_clocks');
    await sql.query('REINDEX TABLE sync_clocks');
    expect(await notice()).toEqual(unchanged);
  });

  test('tells a copy of the database from the database, once, however many ask', async () => {
    await addClock(1000);
    await sql.end();
    const name = `${new URL(database.url).pathname.slice(1)}_copy`;
    const server = new pg.Client({ connectionString: databaseUrl(database.url, 'postgres') });
    await server.connect();
    await server.query(
      `CREATE DATABASE "${name}" TEMPLATE "${new URL(database.url).pathname.slice(1)}"`,
    );
    sql = openPool(databaseUrl(database.url, name));
    const notices = await Promise.all(Array.from({ length: 5 }, () => notice()));
    expect(notices.filter(({ clocks }) => clocks !== null)).toEqual([
      { differences: ['clocks_file'], clocks: 1 },
    ]);
    expect(await notice()).toEqual(unchanged);
    await sql.end();
    await server.query(`DROP DATABASE "${name}"`);
    await server.end();
    sql = openPool(database.url);
  });

  test('tells tables that were made anew, and rows that were put back into emptied ones', async () => {
    await addClock(1000);
    await sql.query(
      `CREATE TABLE kept AS SELECT * FROM sync_clocks; CREATE TABLE people AS SELECT * FROM users;
       CREATE TABLE marker AS SELECT * FROM sync_marker; TRUNCATE users, sync_marker CASCADE;
       INSERT INTO users SELECT * FROM people; INSERT INTO sync_clocks SELECT * FROM kept;
       INSERT INTO sync_marker SELECT * FROM marker`,
    );
    expect(await notice()).toEqual({ differences: ['clocks_file'], clocks: 1 });
    await sql.query(
      `ALTER TABLE sync_clocks RENAME TO gone;
       CREATE TABLE sync_clocks (LIKE gone INCLUDING ALL, FOREIGN KEY (user_id) REFERENCES users);
       INSERT INTO sync_clocks SELECT * FROM gone; DROP TABLE gone CASCADE;
       ALTER TABLE tasks ADD FOREIGN KEY (user_id) REFERENCES sync_clocks`,
    );
    expect((await notice()).differences).toEqual(['clocks_file']);
    expect(await notice()).toEqual(unchanged);
  });

  test.each(['system_identifier', 'wal_timeline'])('tells another %s', async (column) => {
    await sql.query(`UPDATE sync_marker SET ${column} = ${column} + 1`);
    expect(await notice()).toEqual({ differences: [column], clocks: 0 });
  });

  test.each([
    ['is empty', 'DELETE FROM sync_marker'],
    ['has no foreign keys yet', 'ALTER TABLE sync_clocks DROP CONSTRAINT sync_clocks_pkey CASCADE'],
  ])('refuses to judge a database that is being put back: one that %s', async (_what, change) => {
    await sql.query(change);
    await expect(notice()).rejects.toMatchObject({
      code: '55000',
      hint: 'When a backup has been put back completely, run db:mark-restored',
    });
  });

  test('is made anew by whoever marks the database as restored', async () => {
    await sql.query('DELETE FROM sync_marker');
    await markRestored(database.url);
    expect(await notice()).toEqual(unchanged);
    expect((await sql.query('SELECT FROM sync_marker')).rowCount).toBe(1);
  });

  test('does without what a managed server refuses to tell', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await sql.query(`CREATE SCHEMA managed;
      CREATE FUNCTION managed.pg_control_system(OUT pg_control_version integer, OUT system_identifier bigint) LANGUAGE plpgsql
        AS $$ BEGIN RAISE insufficient_privilege; END $$;
      CREATE FUNCTION managed.pg_current_wal_lsn() RETURNS pg_lsn LANGUAGE plpgsql
        AS $$ BEGIN RAISE feature_not_supported; END $$;
      ALTER DATABASE "${name}" SET search_path = managed, public, pg_catalog`);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    expect((await notice(client)).differences).toEqual(['system_identifier', 'wal_timeline']);
    expect((await notice(client)).differences).toEqual([]);
    await client.end();
  });
});

describe('db:mark-restored', () => {
  const run = (args: string[], url: string) =>
    promisify(execFile)(process.execPath, ['prisma/restored/cli.ts', ...args], {
      cwd: path.resolve(import.meta.dirname, '../../../..'),
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: url, DATABASE_DIRECT_URL: '' },
    });

  test('says how many clocks it moved', async () => {
    await addClock(1000);
    const { stdout } = await run([], database.url);
    expect(stdout).toBe('Marked as restored: 1 clock was moved, one for each user.\n');
  });

  test('explains itself, and does nothing then', async () => {
    const { stdout } = await run(['--help'], database.url);
    expect(stdout).toContain('npm run db:mark-restored');
    expect((await sql.query('SELECT FROM sync_lost_intervals')).rowCount).toBe(0);
  });

  test.each([
    [['now'], "Unexpected argument 'now'"],
    [['--force'], "Unknown option '--force'"],
  ])('refuses what it does not know: %j', async (args, message) => {
    await expect(run(args, database.url)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message),
    });
  });

  test('says which database cannot be used, and not with which password', async () => {
    const failed = run([], 'postgresql://rind:secret@127.0.0.1:1/rind');
    await expect(failed).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^The database "rind" on 127\.0\.0\.1:1 cannot be used: [^\n]+\n$/,
      ),
    });
    await expect(failed).rejects.not.toMatchObject({ stderr: expect.stringContaining('secret') });
  });

  describe('on a database without tables', () => {
    let empty: TestDatabase;

    beforeAll(async () => {
      empty = await createTestDatabase({ migrated: false });
    });
    afterAll(() => empty.drop());

    test('names the command that makes them', async () => {
      await expect(run([], empty.url)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining('run db:deploy'),
      });
    });
  });
});
