import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { backUp } from '../../../../prisma/backup/back-up.ts';
import { type BackupOutput, FileOutput } from '../../../../prisma/backup/backup-file.ts';
import {
  END_BYTES,
  encodeEnd,
  encodeHeader,
  type BackupHeader,
} from '../../../../prisma/backup/format.ts';
import { silentProgress } from '../../../../prisma/backup/progress.ts';
import { verifyBackup } from '../../../../prisma/backup/read-backup.ts';
import { type RestoreOptions, restoreBackup } from '../../../../prisma/backup/restore.ts';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { databaseDrift } from '../../../../prisma/migrate/drift.ts';
import { projectPaths, type ProjectPaths } from '../../../../prisma/migrate/project-files.ts';
import { BackupProgram } from '../support/backup-program.js';
import { dumpDatabase, fillDatabase } from '../support/filled-database.js';
import { untilBlocked } from '../support/seams.js';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test-database.js';

const STAGING = 'public_restoring';
/** What a restore changes, and only there. */
const OF_THE_RESTORE = ['sync_clocks', 'sync_marker', 'sync_lost_intervals'];

let source: TestDatabase;
let target: TestDatabase;
/** The database that is backed up, and the one that is restored into. */
let from: pg.Pool;
let to: pg.Pool;
let directory: string;
let file: string;

beforeEach(async () => {
  source = await createTestDatabase();
  target = await createTestDatabase({ migrated: false });
  from = openPool(source.url);
  to = openPool(target.url);
  directory = await mkdtemp(path.join(tmpdir(), 'rind-backup-test-'));
  file = path.join(directory, 'backup.rind');
});

afterEach(async () => {
  await from.end();
  await to.end();
  await source.drop();
  await target.drop();
  await rm(directory, { recursive: true });
});

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url });
  // Connections that a test ends on purpose.
  pool.on('error', () => undefined);
  return pool;
}

async function write(databaseUrl = source.url): Promise<BackupHeader> {
  await backUp({
    databaseUrl,
    version: '1.2.3',
    output: await FileOutput.open(file, { replace: true }),
  });
  return (await verifyBackup(file)).header;
}

const restore = (options: Partial<RestoreOptions> = {}) =>
  restoreBackup({ databaseUrl: target.url, file, ...options });

async function addUser(sql: pg.Pool, name: string): Promise<string> {
  const id = randomUUID();
  await sql.query(`INSERT INTO users (id, email, display_name) VALUES ($1, $2, 'Ada')`, [
    id,
    `${name}@example.com`,
  ]);
  await sql.query(`INSERT INTO sync_clocks VALUES ($1, 1000, 0, gen_random_uuid())`, [id]);
  return id;
}

const users = async (sql: pg.Pool) =>
  (await sql.query('SELECT email FROM users ORDER BY 1')).rows.map(({ email }) => email);

async function schemas(sql: pg.Pool): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^(test_record|information_schema)$' ORDER BY 1`,
  );
  return rows.map(({ nspname }) => nspname);
}

/** Keys, indexes, references, triggers, columns and functions, in words. */
async function describeSchema(sql: pg.Pool): Promise<string[]> {
  const { rows } = await sql.query<{ line: string }>(
    `SELECT pg_get_indexdef(indexrelid) AS line FROM pg_index JOIN pg_class c ON c.oid = indrelid
       WHERE c.relnamespace = 'public'::regnamespace
     UNION ALL SELECT conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace
     UNION ALL SELECT pg_get_triggerdef(t.oid) || tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
       WHERE c.relnamespace = 'public'::regnamespace AND NOT tgisinternal
     UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
     UNION ALL SELECT relname || relpersistence::text || coalesce(reloptions::text, '') FROM pg_class
       WHERE relnamespace = 'public'::regnamespace
     UNION ALL SELECT attrelid::regclass || attname || format_type(atttypid, atttypmod) || attnotnull
         || coalesce(pg_get_expr(adbin, adrelid), '')
       FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND attnum > 0
     ORDER BY 1`,
  );
  return rows.map(({ line }) => line);
}

/** The role of the embedded server owns its databases and is no superuser: neither command needs more. */
describe('a backup that is restored', () => {
  test('brings every row of every table back as it was, whatever stands in it', async () => {
    const filled = await fillDatabase(from);
    const header = await write();
    expect(header.tables.map(({ name }) => name)).toEqual(expect.arrayContaining(filled));
    const { rows } = await restore();
    expect(rows).toBeGreaterThan(filled.length * 3);
    const without = OF_THE_RESTORE;
    expect(await dumpDatabase(to, { without })).toEqual(await dumpDatabase(from, { without }));
  });

  test('moves every clock above all that devices may have been given', async () => {
    await fillDatabase(from);
    await write();
    const summary = await restore();
    const clocks = `SELECT user_id, version, timeline, floor FROM sync_clocks ORDER BY 1`;
    const before = (await from.query(clocks)).rows;
    const after = (await to.query(clocks)).rows;
    expect(summary.clocks).toBe(before.length);
    expect(after).toHaveLength(before.length);
    for (const [index, clock] of after.entries()) {
      expect(Number(clock.version)).toBeGreaterThan(Date.now());
      expect(clock.timeline).not.toBe(before[index].timeline);
      expect(clock.floor).toBe(before[index].floor);
    }
    // Noticed neither by the API at its start, nor later.
    expect((await to.query('SELECT sync_marker_differences() AS differences')).rows).toEqual([
      { differences: [] },
    ]);
  });

  test('has keys, indexes, references and triggers as the migrations make them', async () => {
    await fillDatabase(from);
    await write();
    await restore();
    expect(await describeSchema(to)).toEqual(await describeSchema(from));
    expect(await databaseDrift({ databaseUrl: target.url })).toBeNull();
    expect(await schemas(to)).toEqual(['graphile_worker', 'public']);
  });

  test('creates the database where the server has none', async () => {
    await addUser(from, 'ada');
    await write();
    const url = databaseUrl(target.url, `${new URL(target.url).pathname.slice(1)}_new`);
    await restore({ databaseUrl: url });
    const created = openPool(url);
    expect(await users(created)).toEqual(['ada@example.com']);
    await created.end();
    await from.query(`DROP DATABASE "${new URL(url).pathname.slice(1)}"`);
  });

  test('works in the schema that the URL names', async () => {
    const url = `${target.url}?schema=app`;
    await addUser(from, 'ada');
    await write();
    await restore({ databaseUrl: url });
    expect((await to.query('SELECT email FROM app.users')).rowCount).toBe(1);
    expect(await schemas(to)).toEqual(['app', 'graphile_worker', 'public']);
  });

  test('can be restored again and again, each time on top', async () => {
    await addUser(from, 'ada');
    await write();
    await restore();
    await addUser(to, 'later');
    await restore({ replace: true });
    expect(await users(to)).toEqual(['ada@example.com']);
    await rm(file);
    await write(target.url);
    await restore({ replace: true });
    expect(await users(to)).toEqual(['ada@example.com']);
  });

  test('shows one moment, whatever is written while it is made', async () => {
    const ada = await addUser(from, 'ada');
    const task = (id: string) =>
      from.query(
        `WITH clock AS (UPDATE sync_clocks SET version = version + 1 WHERE user_id = $1 RETURNING version)
       INSERT INTO tasks SELECT $1, $2, 'title', NULL, false, '', 0, 0, version FROM clock`,
        [ada, id],
      );
    await task('before');
    const output = await FileOutput.open(file, { replace: false });
    let writes = 0;
    // Its snapshot is taken before it writes anything.
    const interrupted: BackupOutput = {
      write: async (bytes) => {
        await task(`while-${(writes += 1)}`);
        await addUser(from, `while-${writes}`);
        await from.query('UPDATE users SET display_name = $1 WHERE id = $2', [`${writes}`, ada]);
        await output.write(bytes);
      },
      complete: () => output.complete(),
      abandon: () => output.abandon(),
    };
    await backUp({ databaseUrl: source.url, version: '1.2.3', output: interrupted });
    expect(writes).toBeGreaterThan(1);
    await restore();
    expect(await users(to)).toEqual(['ada@example.com']);
    expect((await to.query('SELECT id FROM tasks')).rows).toEqual([{ id: 'before' }]);
    expect((await to.query('SELECT lost_from FROM sync_lost_intervals')).rows).toEqual([
      { lost_from: '1001' },
    ]);
    expect((await to.query('SELECT display_name FROM users')).rows).toEqual([
      { display_name: 'Ada' },
    ]);
  });

  test('puts back the jobs of the last day once, and leaves older ones and failed ones out', async () => {
    const add = (name: string, payload: object) =>
      from.query(
        `SELECT graphile_worker.add_job($1, $2, queue_name => 'q', job_key => $1, max_attempts => 7, run_at => now() + interval '1 hour')`,
        [name, payload],
      );
    await add('recent', { mailId: 'tab\there', text: TRICKY });
    await add('old', {});
    await add('failed', {});
    await from.query(
      `UPDATE graphile_worker._private_jobs SET created_at = now() - interval '25 hours' WHERE key = 'old'`,
    );
    await from.query(`UPDATE graphile_worker._private_jobs SET attempts = 7 WHERE key = 'failed'`);
    await write();
    await deployMigrations({ databaseUrl: target.url });
    await to.query(`SELECT graphile_worker.add_job('of_the_lost_time')`);
    const { jobs } = await restore();
    expect(jobs).toEqual({ restored: 1, leftOut: 1 });
    const query = `
      SELECT t.identifier, j.payload, j.key, j.max_attempts, j.run_at, j.created_at, j.attempts, q.queue_name
      FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = task_id
      LEFT JOIN graphile_worker._private_job_queues q ON q.id = job_queue_id WHERE t.identifier NOT IN ('old', 'failed')`;
    expect((await to.query(query)).rows).toEqual((await from.query(query)).rows);
  });

  test('has no rows of tables that mean nothing after a restart', async () => {
    await from.query(`INSERT INTO rate_limits (key, points) VALUES ('login:ada', 9)`);
    await from.query(`INSERT INTO worker_pools VALUES ('pool', now())`);
    const { tables } = await write();
    for (const name of ['rate_limits', 'worker_pools'])
      expect(tables).not.toContainEqual(expect.objectContaining({ name }));
    await restore();
    expect((await to.query('SELECT FROM rate_limits')).rowCount).toBe(0);
    expect((await to.query('SELECT FROM worker_pools')).rowCount).toBe(0);
  });

  test('leaves out, and says so, what somebody added by hand', async () => {
    await from.query('CREATE TABLE notes_of_mine (id int); INSERT INTO notes_of_mine VALUES (1)');
    await addUser(from, 'ada');
    await write();
    const said: string[] = [];
    const progress = {
      say: (line: string) => void said.push(line),
      advance: () => undefined,
      finish: () => undefined,
    };
    await restore({ progress });
    expect(said).toContainEqual(expect.stringContaining('notes_of_mine is left out'));
    expect(await users(to)).toEqual(['ada@example.com']);
  });
});

const TRICKY = 'a\\b\n\\.\n"c"\u2028';

describe('a schema with everything that PostgreSQL has', () => {
  let paths: ProjectPaths;

  beforeEach(async () => {
    await source.drop();
    source = await createTestDatabase({ migrated: false });
    await from.end();
    from = openPool(source.url);
    paths = { ...projectPaths, migrationsDir: path.join(directory, 'migrations') };
  });

  async function addMigration(name: string, sql: string): Promise<void> {
    await mkdir(path.join(paths.migrationsDir, name), { recursive: true });
    await writeFile(path.join(paths.migrationsDir, name, 'migration.sql'), sql);
  }

  test('comes back: sequences, generated columns, types, arrays, circles, partitions, triggers', async () => {
    await addMigration(
      '20260101000000_init',
      `CREATE TYPE mood AS ENUM ('fine', 'it''s');
       CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
       CREATE TABLE log (id bigserial PRIMARY KEY, text text);
       CREATE TABLE "Odd ""Name" (
         "id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         "select" mood[] NOT NULL, amount positive, span interval, tags text[], at timestamptz[], raw bytea[],
         "äöü col" xml, twice numeric GENERATED ALWAYS AS (amount * 2) STORED, parent_id bigint REFERENCES "Odd ""Name",
         EXCLUDE USING btree (amount WITH =));
       CREATE INDEX ON "Odd ""Name" (lower(tags[1])) WHERE amount > 1;
       CREATE TABLE chicken (id int PRIMARY KEY, egg_id int);
       CREATE TABLE egg (id int PRIMARY KEY, chicken_id int REFERENCES chicken);
       ALTER TABLE chicken ADD FOREIGN KEY (egg_id) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
       CREATE TABLE parts (id int, kind text) PARTITION BY LIST (kind);
       CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
       CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
       CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO log (text) VALUES ('told'); PERFORM pg_notify('told', ''); RETURN NEW; END $$;
       CREATE TRIGGER tell BEFORE INSERT ON egg FOR EACH ROW EXECUTE FUNCTION tell();
       CREATE VIEW fine AS SELECT * FROM "Odd ""Name" WHERE 'fine' = ANY("select");
       CREATE TABLE none ();`,
    );
    await deployMigrations({ databaseUrl: source.url, paths });
    await from.query(
      `INSERT INTO "Odd ""Name" ("select", amount, span, tags, at, raw, "äöü col", parent_id) VALUES
         ('{fine,it''s}', 1e-30, '-1 year 2 mons 3.5 sec', ARRAY['a,b', NULL, '{}', E'\\\\'], '{infinity}', ARRAY['\\x00'::bytea], '<a>&lt;</a>', NULL),
         ('{}', 'NaN', NULL, '{}', '{}', NULL, NULL, 1);
       INSERT INTO chicken VALUES (1, NULL); INSERT INTO egg VALUES (1, 1); UPDATE chicken SET egg_id = 1;
       INSERT INTO parts VALUES (1, 'a'), (2, NULL), (3, 'b');
       SELECT setval('log_id_seq', 9007199254740993)`,
    );
    const before = await describeSchema(from);
    await write();
    const listener = await to.connect();
    const notices: string[] = [];
    listener.on('notification', ({ channel }) => void notices.push(channel));
    await listener.query('LISTEN told');
    await restore({ paths }).finally(() => listener.release());
    expect(notices).toEqual([]);
    const without = ['_prisma_migrations'];
    expect(await dumpDatabase(to, { without })).toEqual(await dumpDatabase(from, { without }));
    expect(await describeSchema(to)).toEqual(before);
    const insert = `INSERT INTO log (text) VALUES ('next') RETURNING id`;
    expect((await to.query(insert)).rows).toEqual([{ id: '9007199254740994' }]);
    const { rows } = await to.query(
      `INSERT INTO "Odd ""Name" ("select", amount) VALUES ('{}', 5) RETURNING id, twice`,
    );
    expect(rows).toEqual([{ id: '3', twice: '10' }]);
  });

  test('an older backup goes through the migrations that have come since, with its rows', async () => {
    const init = '20260101000000_init';
    await addMigration(init, 'CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);');
    await deployMigrations({ databaseUrl: source.url, paths });
    await from.query(`INSERT INTO people VALUES (1, 'Ada Lovelace'), (2, 'Ben')`);
    await write();
    await addMigration(
      '20260102000000_split',
      `ALTER TABLE people ADD COLUMN first text;
       UPDATE people SET first = split_part(name, ' ', 1);
       ALTER TABLE people ALTER COLUMN first SET NOT NULL;`,
    );
    await addMigration(
      '20260103000000_index',
      'CREATE INDEX CONCURRENTLY by_first ON people (first);',
    );
    await restore({ paths });
    expect((await to.query('SELECT first FROM people ORDER BY id')).rows).toEqual([
      { first: 'Ada' },
      { first: 'Ben' },
    ]);
    expect(await deployMigrations({ databaseUrl: target.url, paths })).toEqual({ applied: [] });
  });

  test('a migration that fails on the rows of the backup leaves the database as it was', async () => {
    await addMigration('20260101000000_init', 'CREATE TABLE people (id int PRIMARY KEY);');
    await deployMigrations({ databaseUrl: source.url, paths });
    await deployMigrations({ databaseUrl: target.url, paths });
    await from.query('INSERT INTO people VALUES (0)');
    await to.query('INSERT INTO people VALUES (7)');
    await write();
    await addMigration('20260102000000_check', 'ALTER TABLE people ADD CHECK (id > 0);');
    await expect(restore({ paths, replace: true })).rejects.toThrow(
      'Migration 20260102000000_check failed',
    );
    expect((await to.query('SELECT id FROM people')).rows).toEqual([{ id: 7 }]);
    expect(await schemas(to)).toEqual(['graphile_worker', 'public']);
  });

  test('a backup of a newer version is refused, and one of another product', async () => {
    await addMigration('20260101000000_init', 'CREATE TABLE people (id int PRIMARY KEY);');
    await addMigration('20260102000000_more', 'CREATE TABLE more (id int PRIMARY KEY);');
    await deployMigrations({ databaseUrl: source.url, paths });
    await write();
    await rm(path.join(paths.migrationsDir, '20260102000000_more'), { recursive: true });
    await expect(restore({ paths })).rejects.toThrow(
      'made by a newer version (1.2.3), whose migrations are unknown here: 20260102000000_more.',
    );
    await expect(restore()).rejects.toThrow('The backup is of another product');
    expect((await to.query(`SELECT FROM pg_class WHERE relname = 'people'`)).rowCount).toBe(0);
  });

  test('a table that was changed by hand there does not fit here', async () => {
    await addMigration(
      '20260101000000_init',
      'CREATE TABLE people (id int PRIMARY KEY, old text);',
    );
    await deployMigrations({ databaseUrl: source.url, paths });
    await from.query('ALTER TABLE people DROP COLUMN old; ALTER TABLE people ADD COLUMN mine int');
    await write();
    await expect(restore({ paths })).rejects.toThrow('(mine integer, old text)');
    expect(await schemas(to)).not.toContain(STAGING);
  });
});

describe('what is in the database', () => {
  beforeEach(async () => {
    await deployMigrations({ databaseUrl: target.url });
    await addUser(from, 'ada');
  });

  test('is not replaced unless somebody says so, and then all of it is', async () => {
    await addUser(to, 'ben');
    await write();
    await expect(restore()).rejects.toThrow(
      /is in use\. All of it would be lost: sync_clocks 1, users 1 rows\. Add --replace/,
    );
    expect(await users(to)).toEqual(['ben@example.com']);
    await restore({ replace: true });
    expect(await users(to)).toEqual(['ada@example.com']);
  });

  test('is nothing yet after a first start, which has only migrated it', async () => {
    await write();
    await restore();
    expect(await users(to)).toEqual(['ada@example.com']);
  });

  test('stays when it is not of Rind, also with --replace', async () => {
    await to.query('DROP TABLE _prisma_migrations');
    await write();
    await expect(restore({ replace: true })).rejects.toThrow('holds no Rind');
    expect((await to.query('SELECT FROM users')).rowCount).toBe(0);
  });

  test('stays as far as somebody added it, unless it hangs on what goes', async () => {
    await to.query('CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)');
    await write();
    await restore({ replace: true });
    expect((await to.query('SELECT id FROM mine')).rows).toEqual([{ id: 1 }]);
    await to.query('CREATE VIEW emails AS SELECT email FROM users');
    await expect(restore({ replace: true })).rejects.toThrow(/view emails depends on table users/);
    expect((await to.query('SELECT * FROM emails')).rowCount).toBe(1);
    expect(await schemas(to)).not.toContain(STAGING);
  });

  test.each([
    [
      'pending',
      'DELETE FROM _prisma_migrations WHERE migration_name = (SELECT max(migration_name) FROM _prisma_migrations)',
    ],
    [
      'failed',
      `UPDATE _prisma_migrations SET finished_at = NULL, logs = 'no' WHERE migration_name = (SELECT max(migration_name) FROM _prisma_migrations)`,
    ],
    [
      'interrupted',
      'UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = (SELECT max(migration_name) FROM _prisma_migrations)',
    ],
  ])('stays as far as somebody added it, also where a migration is %s', async (_state, sql) => {
    await to.query(`CREATE TABLE mine (id int); INSERT INTO mine VALUES (1); ${sql}`);
    await write();
    await restore({ replace: true });
    expect((await to.query('SELECT id FROM mine')).rows).toEqual([{ id: 1 }]);
  });

  test('goes with the tables of the version that made it, when that is a newer one', async () => {
    await write();
    await to.query(
      `CREATE TABLE of_the_next_version (user_id uuid REFERENCES users);
       INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
       VALUES ('1', 'x', '29990101000000_next', now(), 1)`,
    );
    const said: string[] = [];
    const progress = { ...silentProgress, say: (line: string) => void said.push(line) };
    await restore({ replace: true, progress });
    expect(said).toContainEqual(expect.stringContaining('is dropped: table of_the_next_version.'));
    expect(await databaseDrift({ databaseUrl: target.url })).toBeNull();
  });

  test('stays in a schema whose name leaves no room for the one beside it', async () => {
    await write();
    // 54 characters, and 55 bytes.
    const schema = `${'s'.repeat(53)}ä`;
    const url = `${target.url}?schema=${schema}`;
    await deployMigrations({ databaseUrl: url });
    await to.query(
      `INSERT INTO "${schema}".users (id, email, display_name) VALUES (gen_random_uuid(), 'a', 'a')`,
    );
    await expect(restore({ databaseUrl: url, replace: true })).rejects.toThrow('is too long');
    expect((await to.query(`SELECT FROM "${schema}".users`)).rowCount).toBe(1);
  });

  test('stays in a schema that somebody else gave the name of the one beside it', async () => {
    await write();
    await to.query(`CREATE SCHEMA ${STAGING}; CREATE TABLE ${STAGING}.mine (id int)`);
    await expect(restore()).rejects.toThrow('that no restore has made');
    await to.query(`SELECT FROM ${STAGING}.mine`);
  });

  test('is not touched while the API runs, nor when it is started meanwhile', async () => {
    await write();
    const api = new pg.Client({ connectionString: target.url, application_name: 'rind-api' });
    await api.connect();
    await expect(restore()).rejects.toThrow(/The API runs on this database \(1 connections/);
    await api.end();

    const holder = await to.connect();
    await holder.query('BEGIN; LOCK TABLE users IN ACCESS SHARE MODE');
    const restoring = restore();
    restoring.catch(() => undefined);
    await untilBlocked(to, restoring);
    const started = new pg.Client({
      connectionString: target.url,
      application_name: 'rind-notices',
    });
    await started.connect();
    await holder.query('COMMIT');
    holder.release();
    await expect(restoring).rejects.toThrow('The API runs on this database');
    await started.end();
    expect(await users(to)).toEqual([]);
    expect(await schemas(to)).not.toContain(STAGING);
  });
});

describe('a file that is not as it was written', () => {
  let bytes: Buffer;

  beforeEach(async () => {
    await fillDatabase(from);
    await write();
    bytes = await readFile(file);
  });

  async function expectRefused(changed: Buffer, message: RegExp | string): Promise<void> {
    await writeFile(file, changed);
    const error = await verifyBackup(file).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'MigrateError' });
    expect((error as Error).message).toMatch(message);
  }

  test('is refused wherever a bit was flipped', async () => {
    const step = Math.max(1, Math.floor(bytes.length / 150));
    for (let at = 0; at < bytes.length; at += at < 40 || at > bytes.length - 100 ? 1 : step) {
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ (1 << (at % 8));
      await expectRefused(changed, /is damaged|is no backup of Rind|has format/);
    }
  });

  test('is refused wherever it was cut off, or had something added', async () => {
    const step = Math.max(1, Math.floor(bytes.length / 60));
    for (let length = 1; length < bytes.length; length += length < 40 ? 1 : step)
      await expectRefused(bytes.subarray(0, length), /is damaged|is no backup of Rind/);
    await expectRefused(bytes.subarray(0, -1), 'it does not end as a backup does');
    await expectRefused(Buffer.concat([bytes, Buffer.from('\n')]), 'it does not end');
    await expectRefused(Buffer.alloc(0), 'is empty');
  });

  test('is refused when it is something else', async () => {
    await expectRefused(gzipSync('COPY users FROM stdin;'), 'is no backup of Rind');
    await expectRefused(zstdCompressSync(Buffer.from('--')), 'is no backup of Rind');
    await expectRefused(Buffer.alloc(100_000), 'is no backup of Rind');
    await expectRefused(Buffer.from('PGDMP\u0001\u000e'), 'is no backup of Rind');
    await expect(verifyBackup(directory)).rejects.toThrow('is not a file');
    await expect(verifyBackup(path.join(directory, 'none'))).rejects.toThrow('cannot be read');
  });

  test('is refused when it declares sizes that cannot be, with nothing allocated for them', async () => {
    const changed = Buffer.from(bytes);
    changed.writeUInt32LE(0xffffffff, 4);
    await expectRefused(changed, 'its header is longer than the file');
    changed.writeUInt32LE(0, 4);
    await expectRefused(changed, 'is damaged');
    const start = Buffer.concat([bytes.subarray(0, 8), Buffer.from('RIND BACKUP 2\n')]);
    await expectRefused(Buffer.concat([start, bytes.subarray(22)]), 'has format 2');
  });

  test('is refused when its rows are others, although the file as a whole is sound', async () => {
    const { header } = await writeFile(file, bytes).then(() => verifyBackup(file));
    const headerBytes = encodeHeader(header);
    const body = zstdDecompressSync(bytes.subarray(headerBytes.length, -END_BYTES)).toString();
    const forge = (text: string, head = headerBytes) => {
      const content = Buffer.concat([head, zstdCompressSync(Buffer.from(text))]);
      const digest = createHash('sha256').update(content).digest('hex');
      return Buffer.concat([content, encodeEnd(digest)]);
    };
    await writeFile(file, forge(body));
    await verifyBackup(file);
    await expectRefused(forge(body.replace('example.com', 'example.org')), 'other checksums');
    await expectRefused(forge(body.replace('\\.\n', '')), 'is damaged');
    await expectRefused(forge(`${body}more`), 'something follows');
    await expectRefused(forge(body.slice(0, -10)), 'is damaged');
    await expectRefused(forge('x'.repeat(5_000_000)), 'a line does not end');
    await expectRefused(forge(''), 'it ends too early');
    await expectRefused(
      forge(body, encodeHeader({ ...header, tables: header.tables.slice(1) })),
      'does not begin where it should',
    );
    await expectRefused(
      forge(body, encodeHeader({ ...header, product: 'other' as 'rind' })),
      'is no backup of Rind',
    );
  });

  test('changes nothing in the database', async () => {
    await deployMigrations({ databaseUrl: target.url });
    await addUser(to, 'ben');
    const before = await dumpDatabase(to);
    await truncate(file, bytes.length - 1);
    await expect(restore({ replace: true })).rejects.toThrow('is damaged');
    expect(await dumpDatabase(to)).toEqual(before);
    expect(await schemas(to)).not.toContain(STAGING);
  });
});

describe('the file', () => {
  test('can be read by its owner only, and takes the place of no other', async () => {
    await addUser(from, 'ada');
    await write();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await expect(FileOutput.open(file, { replace: false })).rejects.toThrow('--force');
    expect(await readdir(directory)).toEqual(['backup.rind']);
  });

  test('takes the place of none that came while it was written', async () => {
    const output = await FileOutput.open(file, { replace: false });
    await writeFile(file, 'mine');
    await expect(backUp({ databaseUrl: source.url, version: '1.2.3', output })).rejects.toThrow(
      'exists',
    );
    expect(await readFile(file, 'utf8')).toBe('mine');
    expect(await readdir(directory)).toEqual(['backup.rind']);
  });

  test('is not there when the backup fails', async () => {
    const output = await FileOutput.open(file, { replace: false });
    await expect(backUp({ databaseUrl: target.url, version: '1.2.3', output })).rejects.toThrow(
      'holds no Rind',
    );
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('a process that ends before it is done', () => {
  beforeEach(async () => {
    await addUser(from, 'ada');
  });

  test('leaves no file of that name when it was backing up', async () => {
    const holder = await from.connect();
    await holder.query('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    const program = new BackupProgram(source.url, 'backup', [file]);
    await untilBlocked(from, program.ended);
    expect((await program.kill()).code).toBeNull();
    await holder.query('COMMIT');
    holder.release();
    expect(await readdir(directory)).toEqual([expect.stringMatching(/^backup\.rind\.unfinished-/)]);
    expect(await BackupProgram.run(source.url, 'backup', file)).toMatchObject({ code: 0 });
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)(
    'leaves nothing at all when %s has ended a backup, and says so',
    async (signal, code) => {
      const holder = await from.connect();
      await holder.query('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
      const program = new BackupProgram(source.url, 'backup', [file]);
      await untilBlocked(from, program.ended);
      expect(await readdir(directory)).toHaveLength(1);
      expect(await program.kill(signal)).toMatchObject({
        code,
        stderr: 'Interrupted: nothing was written.\n',
      });
      expect(await readdir(directory)).toEqual([]);
      holder.release(true);
    },
  );

  test.each(['killed', 'cut off', 'interrupted'])(
    'leaves the database as it was when a restore is %s, and the next one begins anew',
    async (how) => {
      await deployMigrations({ databaseUrl: target.url });
      await addUser(to, 'ben');
      await write();
      const before = await dumpDatabase(to);
      // Stops it in the last transaction, when everything is prepared.
      const holder = await to.connect();
      await holder.query('BEGIN; LOCK TABLE users IN ACCESS SHARE MODE');
      const program = new BackupProgram(target.url, 'restore', [file, '--replace']);
      await untilBlocked(to, program.ended);
      if (how === 'killed') {
        expect((await program.kill()).code).toBeNull();
      } else if (how === 'interrupted') {
        expect(await program.kill('SIGTERM')).toMatchObject({
          code: 143,
          stderr: expect.stringMatching(/\nInterrupted: .* the rows are as they were\..*\n$/),
        });
      } else {
        await to.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        expect(await program.ended).toMatchObject({ code: 1 });
      }
      await holder.query('COMMIT');
      holder.release();
      expect(await dumpDatabase(to)).toEqual(before);
      await restore({ replace: true });
      expect(await users(to)).toEqual(['ada@example.com']);
      expect(await schemas(to)).not.toContain(STAGING);
    },
  );
});

describe('the commands', () => {
  beforeEach(async () => {
    await addUser(from, 'ada');
    await from.query(
      `INSERT INTO sessions (user_id, id, refresh_salt, refresh_key_id, refresh_issued_at, last_used_at, expires_at)
       SELECT id, id, '', '', now(), now(), now() + interval '1 day' FROM users`,
    );
  });

  test('back up, verify and restore, and tell what they did on standard error', async () => {
    const made = await BackupProgram.run(source.url, 'backup', file);
    expect(made).toMatchObject({ code: 0, stdout: Buffer.alloc(0) });
    // One line where no terminal is, such as in cron.
    expect(made.stderr).toMatch(/^Wrote \d+ rows to [^\n]+, 0\.0 MB\. Keep it secret\.\n$/);
    const verified = await BackupProgram.run('', 'backup', '--verify', file);
    expect(verified).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^[^\n]+ is whole\. [^\n]+\n$/),
    });
    const restored = await BackupProgram.run(target.url, 'restore', file);
    expect(restored).toMatchObject({ code: 0 });
    expect(restored.stderr).toContain(
      'go on from where they are: 1. Devices that stay signed in: 1.',
    );
    expect(await users(to)).toEqual(['ada@example.com']);
  });

  test('write to standard output for a pipeline, and fail with it', async () => {
    const { code, stdout } = await BackupProgram.run(source.url, 'backup', '-');
    expect(code).toBe(0);
    await writeFile(file, stdout);
    expect((await verifyBackup(file)).header.product).toBe('rind');
  });

  test('go on where nobody reads any more what they tell', async () => {
    expect(await BackupProgram.runUnheard(source.url, 'backup', file)).toBe(0);
    await verifyBackup(file);
    expect(await BackupProgram.runUnheard(target.url, 'restore', file)).toBe(0);
    expect(await users(to)).toEqual(['ada@example.com']);
  });

  test('answer mistakes with a sentence and an exit code, what was mistyped with 2', async () => {
    await write();
    const cases: [string, 'backup' | 'restore', string[], string, code?: number][] = [
      [source.url, 'backup', [file], 'exists'],
      [source.url, 'backup', [path.join(directory, 'none/file')], 'cannot be written'],
      [source.url, 'backup', [file, 'other'], 'one file', 2],
      [source.url, 'backup', [], 'one file', 2],
      [source.url, 'backup', [''], 'one file', 2],
      [source.url, 'backup', ['--verify', ''], 'one file', 2],
      [target.url, 'restore', [], 'one file', 2],
      [target.url, 'restore', ['', '--replace'], 'one file', 2],
      [source.url, 'backup', [file, '--nonsense'], '--nonsense', 2],
      [target.url, 'backup', [`${file}2`], 'holds no Rind'],
      [
        'postgresql://127.0.0.1:1/none',
        'backup',
        [`${file}2`],
        'The database "none" on 127.0.0.1:1 cannot',
      ],
      ['nonsense', 'backup', [`${file}2`], 'is not a URL'],
      [target.url, 'restore', [directory], 'is not a file'],
      [source.url, 'restore', [file], '--replace'],
    ];
    const outcomes = [];
    for (const [url, command, args] of cases)
      outcomes.push(await BackupProgram.run(url, command, ...args));
    for (const [index, { code, stderr }] of outcomes.entries()) {
      expect({ code, stderr }).toEqual({
        code: cases[index]![4] ?? 1,
        stderr: expect.stringContaining(cases[index]![3]),
      });
      expect(stderr).not.toContain('    at ');
    }
    expect(await readdir(directory)).toEqual(['backup.rind']);
  });

  test('explain themselves', async () => {
    for (const command of ['backup', 'restore'] as const) {
      const { code, stdout } = await BackupProgram.run(source.url, command, '--help');
      expect(code).toBe(0);
      expect(stdout.toString()).toContain(`npm run db:${command} -- FILE`);
    }
  });
});
