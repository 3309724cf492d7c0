import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createMigration } from '../../../../prisma/migrate/create.ts';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { databaseDrift, schemaDrift } from '../../../../prisma/migrate/drift.ts';
import {
  type ProjectPaths,
  projectPaths,
  readMigrations,
} from '../../../../prisma/migrate/project-files.ts';
import { resolveMigration } from '../../../../prisma/migrate/resolve.ts';
import { migrationStatus } from '../../../../prisma/migrate/status.ts';
import { type TestDatabase, createTestDatabase } from '../support/test-database.js';

const INIT = '20260101000000_init';
const NEXT = '20270101000000_next';
const RIND_LOCK_KEY = 0x52696e64;
const PRISMA_LOCK_KEY = 72707369;
const GATE_KEY = 42;

const SCHEMA = `
datasource db {
  provider = "postgresql"
}

model User {
  id    Int    @id
  email String

  @@index([email])
  @@map("users")
}

model Role {
  name String @id

  @@map("roles")
}
`;
const INIT_SQL = `
CREATE TABLE "users" ("id" INTEGER NOT NULL, "email" TEXT NOT NULL, CONSTRAINT "users_pkey" PRIMARY KEY ("id"));
CREATE TABLE "roles" ("name" TEXT NOT NULL, CONSTRAINT "roles_pkey" PRIMARY KEY ("name"));
CREATE INDEX "users_email_idx" ON "users"("email");
`;

let database: TestDatabase;
let databaseUrl: string;
let client: pg.Client;
/** A small project of this test's own, with one migration. */
let paths: ProjectPaths;

beforeEach(async () => {
  database = await createTestDatabase({ migrated: false });
  databaseUrl = database.url;
  client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const directory = await mkdtemp(path.join(tmpdir(), 'rind-migrate-test-'));
  paths = {
    schemaFile: path.join(directory, 'schema.prisma'),
    migrationsDir: path.join(directory, 'migrations'),
  };
  await writeFile(paths.schemaFile, SCHEMA);
  await writeMigration(INIT, INIT_SQL);
});

afterEach(async () => {
  await client.end();
  await database.drop();
  await rm(path.dirname(paths.schemaFile), { recursive: true });
});

async function writeMigration(name: string, sql: string): Promise<void> {
  await mkdir(path.join(paths.migrationsDir, name), { recursive: true });
  await writeFile(path.join(paths.migrationsDir, name, 'migration.sql'), sql);
}

async function tableExists(name: string): Promise<boolean> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS found', [name]);
  return rows[0].found;
}

async function statesByName(): Promise<Record<string, string>> {
  const { migrations } = await migrationStatus({ databaseUrl, paths });
  return Object.fromEntries(migrations.map(({ name, state }) => [name, state]));
}

/** Resolves with the first progress message that contains the text. */
function progressWatcher(expected: string): {
  onProgress: (message: string) => void;
  seen: Promise<string>;
} {
  const { promise, resolve } = Promise.withResolvers<string>();
  return {
    onProgress: (message) => {
      if (message.includes(expected)) {
        resolve(message);
      }
    },
    seen: promise,
  };
}

describe('deploy', () => {
  it('applies the migrations and records them the way Prisma does', async () => {
    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [INIT] });
    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [] });

    const { rows } = await client.query('SELECT * FROM _prisma_migrations');
    expect(rows).toEqual([
      expect.objectContaining({
        migration_name: INIT,
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
        finished_at: expect.any(Date),
        rolled_back_at: null,
        applied_steps_count: 1,
      }),
    ]);
  });

  it('creates a database that the server does not have', async () => {
    await client.end();
    await database.drop();
    const progress: string[] = [];
    const onProgress = (message: string): void => void progress.push(message);

    const { applied } = await deployMigrations({ databaseUrl, paths, onProgress });

    expect(applied).toEqual([INIT]);
    expect(progress).toContainEqual(expect.stringMatching(/^Created database "rind_test_/));
    client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
  });

  it('applies each migration once when two run at the same time, without the database, too', async () => {
    await client.end();
    await database.drop();

    const results = await Promise.all([
      deployMigrations({ databaseUrl, paths }),
      deployMigrations({ databaseUrl, paths }),
    ]);

    expect(results.flatMap(({ applied }) => applied)).toEqual([INIT]);
    client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
  });

  it.each([
    ['another process', RIND_LOCK_KEY],
    ['a prisma migrate deploy', PRISMA_LOCK_KEY],
  ])('says that it waits for %s, and goes on when that has ended', async (_who, key) => {
    await client.query('SELECT pg_advisory_lock($1)', [key]);
    const { onProgress, seen } = progressWatcher('waiting');
    const deployment = deployMigrations({ databaseUrl, paths, onProgress });
    expect(await seen).toBe(
      'Another process is migrating this database: waiting for it to finish.',
    );
    expect(await tableExists('users')).toBe(false);

    await client.query('SELECT pg_advisory_unlock($1)', [key]);

    expect(await deployment).toEqual({ applied: [INIT] });
  });

  it('gives up waiting in the end', async () => {
    await client.query('SELECT pg_advisory_lock($1)', [RIND_LOCK_KEY]);

    await expect(deployMigrations({ databaseUrl, paths, lockTimeoutMs: 50 })).rejects.toThrow(
      'Another process has been migrating this database for more than 0.05 s.',
    );
  });

  it('runs a script as it is, with semicolons in comments, strings and function bodies', async () => {
    await writeMigration(
      NEXT,
      `-- one; two
       CREATE FUNCTION answer() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a;b'; END $$;`,
    );

    await deployMigrations({ databaseUrl, paths });

    const { rows } = await client.query('SELECT answer()');
    expect(rows).toEqual([{ answer: 'a;b' }]);
  });

  it('can build an index concurrently, which PostgreSQL refuses inside a transaction', async () => {
    await writeMigration(NEXT, '-- alone\nCREATE INDEX CONCURRENTLY by_name ON roles (name);\n');

    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [INIT, NEXT] });
  });

  it('works in the schema that the URL names, and in no other', async () => {
    const url = `${databaseUrl}?schema=app`;

    expect(await deployMigrations({ databaseUrl: url, paths })).toEqual({ applied: [INIT] });

    expect(await tableExists('app.users')).toBe(true);
    expect(await tableExists('app._prisma_migrations')).toBe(true);
    expect(await tableExists('public.users')).toBe(false);
    expect(await databaseDrift({ databaseUrl: url, paths })).toBeNull();
  });

  it('lifts the statement timeout of the database', async () => {
    await client.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 20', current_database()); END $$`,
    );
    await writeMigration(NEXT, 'SELECT pg_sleep(0.1);');

    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [INIT, NEXT] });
  });

  it('leaves a database alone that a later version has migrated, so that one can go back', async () => {
    await writeMigration(NEXT, 'ALTER TABLE roles ADD COLUMN description TEXT;');
    await deployMigrations({ databaseUrl, paths });
    await rm(path.join(paths.migrationsDir, NEXT), { recursive: true });

    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [] });
  });

  it('says of an edited migration that the edit has no effect', async () => {
    await deployMigrations({ databaseUrl, paths });
    await writeMigration(INIT, '-- edited');
    const { onProgress, seen } = progressWatcher('edited');

    await deployMigrations({ databaseUrl, paths, onProgress });

    expect(await seen).toContain(INIT);
  });

  it('says in one paragraph which server cannot be reached, and not with which password', async () => {
    const url = 'postgresql://rind:secret@127.0.0.1:1/rind';
    const message = expect.stringMatching(
      /^The database "rind" on 127\.0\.0\.1:1 cannot be used: .*connect ECONNREFUSED [^\n]+$/,
    );
    const failure = deployMigrations({ databaseUrl: url, paths });
    await expect(failure).rejects.toMatchObject({ name: 'MigrateError', message });
    await expect(failure).rejects.not.toThrow('secret');
  });

  it('names the right that its role lacks', async () => {
    const name = new URL(databaseUrl).pathname.slice(1);
    await client.query(`REVOKE CREATE ON DATABASE "${name}" FROM CURRENT_USER`);

    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow(
      `GRANT CREATE ON DATABASE "${name}" TO`,
    );
  });

  it.each([
    ['not a URL', 'is not a URL'],
    ['mysql://localhost/rind', 'must begin with postgresql://'],
    ['postgresql://localhost:5432', 'names no database'],
  ])('refuses the database URL "%s"', async (url, message) => {
    await expect(deployMigrations({ databaseUrl: url, paths })).rejects.toThrow(message);
  });
});

describe('a migration that fails', () => {
  beforeEach(async () => {
    await writeMigration(NEXT, 'CREATE TABLE before_the_error ();\n\nCREATE TABLE users ();\n');
  });

  it('is named with the line and the error of PostgreSQL, and leaves nothing', async () => {
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toMatchObject({
      name: 'MigrateError',
      message: expect.stringMatching(
        new RegExp(`Migration ${NEXT} failed.*:\nERROR 42P07: relation "users" already exists\n`),
      ),
    });
    expect(await tableExists('users')).toBe(true);
    expect(await tableExists('before_the_error')).toBe(false);
  });

  it('is named with the line of a syntax error', async () => {
    await writeMigration(NEXT, '-- 🌱\nCREATE TABLE fine ();\nCREATE TABEL wrong ();\n');

    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow(
      `Migration ${NEXT} failed at line 3 of its migration.sql:\nERROR 42601: syntax error`,
    );
  });

  it('stops the next deploy with what to do, and runs again once it is marked as rolled back', async () => {
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow('already exists');
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow(
      `npm run db:resolve -- --rolled-back ${NEXT}`,
    );
    await writeMigration(NEXT, 'CREATE TABLE corrected ();');
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow('has failed');

    await resolveMigration({ databaseUrl, paths, name: NEXT, outcome: 'rolled-back' });

    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [NEXT] });
    expect(await tableExists('corrected')).toBe(true);
  });

  it('counts as applied once it is marked so', async () => {
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow('already exists');

    await resolveMigration({ databaseUrl, paths, name: NEXT, outcome: 'applied' });

    expect(await deployMigrations({ databaseUrl, paths })).toEqual({ applied: [] });
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'applied' });
  });
});

describe('a migration of a table that is in use', () => {
  beforeEach(async () => {
    await deployMigrations({ databaseUrl, paths });
    await writeMigration(NEXT, 'ALTER TABLE roles ADD COLUMN text TEXT;');
    await client.query('BEGIN; SELECT FROM roles');
  });

  it('gives way to those who come later, and runs when its turn comes', async () => {
    const { onProgress, seen } = progressWatcher('tables that are in use');
    const deployment = deployMigrations({
      databaseUrl,
      paths,
      onProgress,
      tableLockTimeoutMs: 50,
    });
    expect(await seen).toContain(NEXT);

    await client.query('COMMIT');

    expect(await deployment).toEqual({ applied: [NEXT] });
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'applied' });
  });

  it('gives up in the end, and runs at the next attempt without anybody resolving it', async () => {
    const options = { databaseUrl, paths, tableLockTimeoutMs: 5 };
    await expect(deployMigrations(options)).rejects.toMatchObject({
      name: 'MigrateError',
      message: expect.stringContaining(`Migration ${NEXT} did not get the locks that it needs`),
    });
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'pending' });

    await client.query('COMMIT');

    expect(await deployMigrations(options)).toEqual({ applied: [NEXT] });
  });

  it('takes no word of a comment, a string or a function for a command', async () => {
    const sql = `-- No CREATE INDEX CONCURRENTLY; COMMIT
      /* ; COMMIT */ ALTER TABLE roles ADD COLUMN note text DEFAULT ';commit; index concurrently';
      CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN PERFORM 1; COMMIT; END $f$;`;
    await writeMigration(NEXT, sql);
    await expect(deployMigrations({ databaseUrl, paths, tableLockTimeoutMs: 5 })).rejects.toThrow(
      'did not get the locks',
    );
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'pending' });
  });

  it('waits as long as it takes where nobody waits behind it, with an index that is built concurrently', async () => {
    await client.query('SAVEPOINT used; INSERT INTO roles VALUES (1)');
    await writeMigration(NEXT, 'CREATE INDEX CONCURRENTLY by_name ON roles (name);');
    const other = new pg.Client({ connectionString: databaseUrl });
    await other.connect();
    const deployment = deployMigrations({ databaseUrl, paths, tableLockTimeoutMs: 1 });
    // It waits for the transaction that has written, and lets others write.
    await untilSomebodyWaits();
    await other.query('INSERT INTO roles VALUES (2)');
    await other.end();

    await client.query('COMMIT');

    expect(await deployment).toEqual({ applied: [NEXT] });
  });

  it('builds an index concurrently while another process waits for its turn', async () => {
    await client.query('SAVEPOINT used; INSERT INTO roles VALUES (1)');
    await writeMigration(NEXT, 'CREATE INDEX CONCURRENTLY by_name ON roles (name);');
    const first = deployMigrations({ databaseUrl, paths });
    await untilSomebodyWaits();
    const { onProgress, seen } = progressWatcher('waiting');
    const second = deployMigrations({ databaseUrl, paths, onProgress, lockTimeoutMs: 10_000 });
    await seen;
    await untilSomebodyAsksForTheLock();

    await client.query('COMMIT');

    expect(await Promise.all([first, second])).toEqual([{ applied: [NEXT] }, { applied: [] }]);
  });

  /** From now on, in a session of its own: a transaction sees one state of the sessions only. */
  async function untilSomebodyAsksForTheLock(): Promise<void> {
    const other = new pg.Client({ connectionString: databaseUrl });
    await other.connect();
    const { rows } = await other.query('SELECT clock_timestamp()::text AS now');
    try {
      for (let attempt = 0; attempt < 2500; attempt += 1) {
        const { rowCount } = await other.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database()
             AND query LIKE 'SELECT pg_%advisory_lock%' AND query_start > $1`,
          [rows[0].now],
        );
        if (rowCount) return;
        await delay(20);
      }
    } finally {
      await other.end();
    }
    throw new Error('Nobody asks.');
  }

  async function untilSomebodyWaits(): Promise<void> {
    for (let attempt = 0; attempt < 2500; attempt += 1) {
      const { rowCount } = await client.query(
        `SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted`,
      );
      if (rowCount) return;
      await delay(20);
    }
    throw new Error('No migration waits.');
  }
});

describe('a migration whose process is killed', () => {
  /** The migration stops at this gate for as long as the test's own session holds the lock. */
  const gatedSql = `CREATE TABLE gated (); SELECT pg_advisory_xact_lock(${GATE_KEY});`;

  beforeEach(() => client.query('SELECT pg_advisory_lock($1)', [GATE_KEY]));

  const openGate = (): Promise<unknown> =>
    client.query('SELECT pg_advisory_unlock($1)', [GATE_KEY]);

  async function indexStates(): Promise<boolean[]> {
    const { rows } = await client.query<{ indisvalid: boolean }>(
      `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('by_email')`,
    );
    return rows.map(({ indisvalid }) => indisvalid);
  }

  const killAtGate = (): Promise<void> =>
    killWhen(async () => {
      const { rowCount } = await client.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted`,
        [GATE_KEY],
      );
      return rowCount === 1;
    });

  async function killWhen(isThere: () => Promise<boolean>): Promise<void> {
    const deploy = path.join(import.meta.dirname, '../../../../prisma/migrate/deploy.ts');
    const options = JSON.stringify({ databaseUrl, paths });
    const child = spawn(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { deployMigrations } from ${JSON.stringify(deploy)}; await deployMigrations(${options});`,
    ]);
    await until(isThere);
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  async function until(isThere: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 2500; attempt += 1) {
      if (await isThere()) return;
      await delay(20);
    }
    throw new Error('No migration came that far.');
  }

  it('runs again, after the server has given up the first attempt', async () => {
    await writeMigration(NEXT, gatedSql);
    await killAtGate();
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'interrupted' });
    const { onProgress, seen } = progressWatcher('was cut off');

    const deployment = deployMigrations({ databaseUrl, paths, onProgress });
    await seen;
    await openGate();

    expect(await deployment).toEqual({ applied: [NEXT] });
    expect(await tableExists('gated')).toBe(true);
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'applied' });
  });

  it('drops the index that it was building concurrently, and builds it again', async () => {
    await deployMigrations({ databaseUrl, paths });
    await writeMigration(
      NEXT,
      'CREATE INDEX CONCURRENTLY IF NOT EXISTS "by_email" ON users (email)',
    );
    // Building waits for whoever has written to the table.
    await client.query(`BEGIN; INSERT INTO users VALUES (1, 'a@example.com')`);
    await killWhen(async () => (await indexStates()).includes(false));
    expect(await statesByName()).toEqual({ [INIT]: 'applied', [NEXT]: 'interrupted' });
    // The server notices within a second that nobody waits for it any more.
    await until(async () => {
      const { rowCount } = await client.query('SELECT FROM pg_locks WHERE NOT granted');
      return rowCount === 0;
    });
    await client.query('COMMIT');
    const { onProgress, seen } = progressWatcher('Dropped index by_email');

    expect(await deployMigrations({ databaseUrl, paths, onProgress })).toEqual({ applied: [NEXT] });

    await seen;
    expect(await indexStates()).toEqual([true]);
  });

  it('fails with a unique index that rows contradict, and builds it once they are put right', async () => {
    const insert = `INSERT INTO users VALUES ($1, 'a@example.com')`;
    await deployMigrations({ databaseUrl, paths });
    for (const id of [1, 2]) await client.query(insert, [id]);
    await writeMigration(
      NEXT,
      'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_email ON users (email)',
    );
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow('Key (email)');
    expect(await indexStates()).toEqual([false]);

    await client.query('DELETE FROM users WHERE id = 2');
    await resolveMigration({ databaseUrl, paths, name: NEXT, outcome: 'rolled-back' });
    await deployMigrations({ databaseUrl, paths });

    expect(await indexStates()).toEqual([true]);
  });

  it('is left to people when its file commits by itself', async () => {
    await writeMigration(NEXT, `BEGIN; CREATE TABLE part (); COMMIT; ${gatedSql}`);
    await killAtGate();

    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow(
      `Migration ${NEXT} was cut off on this database before`,
    );
  });
});

describe('create', () => {
  const now = new Date('2027-02-03T04:05:06.789Z');

  async function changeSchema(from: string, to: string): Promise<void> {
    const schema = await readFile(paths.schemaFile, 'utf8');
    expect(schema).toContain(from);
    await writeFile(paths.schemaFile, schema.replace(from, to));
  }

  it('writes the SQL from the existing migrations to the schema', async () => {
    await changeSchema('model Role {', 'model Role {\n  description String?');

    const created = await createMigration({ serverUrl: databaseUrl, name: 'add_text', now, paths });

    expect(created?.file).toBe(
      path.join(paths.migrationsDir, '20270203040506_add_text', 'migration.sql'),
    );
    expect(await readFile(created?.file ?? '', 'utf8')).toBe(
      '-- AlterTable\nALTER TABLE "roles" ADD COLUMN     "description" TEXT;\n',
    );
    expect(await createMigration({ serverUrl: databaseUrl, name: 'again', now, paths })).toBeNull();
  });

  it('touches nothing in the database that it is pointed at', async () => {
    await changeSchema('model Role {', 'model Role {\n  description String?');

    await createMigration({ serverUrl: databaseUrl, name: 'add_text', now, paths });

    expect(await tableExists('users')).toBe(false);
    expect(await tableExists('_prisma_migrations')).toBe(false);
    const { rows } = await client.query(`SELECT datname FROM pg_database WHERE datname ~ 'shadow'`);
    expect(rows).toEqual([]);
  });

  it('begins a history that is empty, with its lock file', async () => {
    await rm(paths.migrationsDir, { recursive: true });

    const created = await createMigration({ serverUrl: databaseUrl, name: 'init', now, paths });

    expect(created?.sql).toContain('CREATE TABLE "users"');
    expect(await readFile(path.join(paths.migrationsDir, 'migration_lock.toml'), 'utf8')).toContain(
      'provider = "postgresql"',
    );
  });

  it('writes a migration to be filled by hand when asked to', async () => {
    const created = await createMigration({
      serverUrl: databaseUrl,
      name: 'trigger',
      allowEmpty: true,
      now,
      paths,
    });

    expect(created?.sql).toMatch(/^-- /);
  });

  it('refuses a name that is no name of a folder', async () => {
    await expect(
      createMigration({ serverUrl: databaseUrl, name: '../up', now, paths }),
    ).rejects.toThrow('"../up" is not a migration\'s name');
  });

  it('names the migration that cannot be applied', async () => {
    await writeMigration(NEXT, 'CREATE TABEL wrong ();');

    await expect(
      createMigration({ serverUrl: databaseUrl, name: 'more', now, paths }),
    ).rejects.toThrow(NEXT);
  });
});

describe('status', () => {
  it('tells applied, pending, edited, failed and unknown migrations apart', async () => {
    const [gone, edited, failed] = ['20270101000001_gone', '20270101000002_edited', NEXT];
    await writeMigration(gone, 'SELECT 1;');
    await writeMigration(edited, 'SELECT 2;');
    await deployMigrations({ databaseUrl, paths });
    expect(await migrationStatus({ databaseUrl, paths })).toMatchObject({ upToDate: true });

    await rm(path.join(paths.migrationsDir, gone), { recursive: true });
    await writeMigration(edited, 'SELECT 3;');
    await writeMigration(failed, 'SELECT no_such_column;');
    await expect(deployMigrations({ databaseUrl, paths })).rejects.toThrow('no_such_column');
    await writeMigration('20270101000004_later', 'SELECT 4;');

    expect(await statesByName()).toEqual({
      [INIT]: 'applied',
      [gone]: 'unknown',
      [edited]: 'edited',
      [failed]: 'failed',
      '20270101000004_later': 'pending',
    });
    expect(await migrationStatus({ databaseUrl, paths })).toMatchObject({ upToDate: false });
  });

  it('does not take other line endings for an edit', async () => {
    await deployMigrations({ databaseUrl, paths });
    const file = path.join(paths.migrationsDir, INIT, 'migration.sql');
    const sql = await readFile(file, 'utf8');

    await writeFile(file, sql.replaceAll('\n', '\r\n'));

    expect(await statesByName()).toEqual({ [INIT]: 'applied' });
  });
});

describe('drift', () => {
  it('finds none between migrations and the schema they lead to', async () => {
    expect(await schemaDrift({ serverUrl: databaseUrl, paths })).toBeNull();
  });

  it('says why there is no throw-away database to compare with', async () => {
    const serverUrl = `${databaseUrl}?options=-c%20default_transaction_read_only%3Don`;

    await expect(schemaDrift({ serverUrl, paths })).rejects.toThrow(
      'could not be created: cannot execute CREATE DATABASE in a read-only transaction',
    );
  });

  it('shows what the migrations lack', async () => {
    const schema = await readFile(paths.schemaFile, 'utf8');
    await writeFile(paths.schemaFile, `${schema}\nmodel Extra {\n  id Int @id\n}\n`);

    expect(await schemaDrift({ serverUrl: databaseUrl, paths })).toContain('CREATE TABLE "Extra"');
  });

  it('shows what a database has beyond the migrations, and what it lacks', async () => {
    await deployMigrations({ databaseUrl, paths });
    expect(await databaseDrift({ databaseUrl, paths })).toBeNull();

    await client.query(`
      ALTER TABLE users ADD COLUMN by_hand text;
      DROP INDEX users_email_idx;
    `);

    const drift = await databaseDrift({ databaseUrl, paths });
    expect(drift).toContain('DROP COLUMN "by_hand"');
    expect(drift).toContain('CREATE INDEX "users_email_idx"');
  });
});

describe('the command line', () => {
  const cli = path.join(import.meta.dirname, '../../../../prisma/migrate/cli.ts');

  async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { PATH: process.env['PATH'], DATABASE_URL: databaseUrl };
    const child = spawn(process.execPath, [cli, ...args], { env });
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { code, stdout, stderr };
  }

  it('deploys, and says whether the database is up to date in its exit code', async () => {
    expect(await run('status')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('pending'),
    });
    const names = (await readMigrations(projectPaths)).map(({ name }) => name);
    expect(await run('deploy')).toEqual({
      code: 0,
      stdout:
        names.map((name) => `Applying ${name}.\n`).join('') +
        `Applied ${names.length} migrations.\n`,
      stderr: '',
    });
    expect(await run('deploy')).toMatchObject({ code: 0, stdout: 'Nothing to apply.\n' });
    expect(await run('status')).toMatchObject({ code: 0 });
    expect(await run('drift')).toMatchObject({ code: 0 });
  });

  it('exits with 1 and the difference on drift', async () => {
    await run('deploy');
    await client.query('DROP TABLE tasks');

    expect(await run('drift')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('CREATE TABLE "public"."tasks"'),
    });
  });

  it('ends when it is asked to, also as the first process of a container, and says so', async () => {
    await client.query('SELECT pg_advisory_lock($1)', [0x52696e64]);
    const env = { PATH: process.env['PATH'], DATABASE_URL: databaseUrl };
    const child = spawn(process.execPath, [cli, 'deploy'], { env });
    const [stderr, closed] = [text(child.stderr), once(child, 'close')];
    await once(child.stdout, 'data');

    child.kill('SIGTERM');

    expect((await closed)[0]).toBe(143);
    expect(await stderr).toMatch(/^Interrupted: [^\n]+\n$/);
  });

  it('has help, and one sentence for what it does not understand', async () => {
    expect(await run('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('npm run db:deploy'),
    });
    expect(await run('upgrade')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'There is no command "upgrade": --help lists them.\n',
    });
  });
});

describe('the migrations of this repository', () => {
  beforeEach(() => deployMigrations({ databaseUrl }));

  const insertUser = (email: string, language: string): Promise<unknown> =>
    client.query(
      `INSERT INTO users (id, email, display_name, language) VALUES (gen_random_uuid(), $1, 'A', $2)`,
      [email, language],
    );

  it('lead to its schema', async () => {
    expect(await schemaDrift({ serverUrl: databaseUrl })).toBeNull();
  });

  it('make the roles that the application knows', async () => {
    const { rows } = await client.query('SELECT name FROM roles ORDER BY name');
    expect(rows).toEqual([{ name: 'admin' }, { name: 'user' }]);
  });

  it('let no two spellings of one address in', async () => {
    await insertUser('a@example.com', 'de');
    await expect(insertUser('A@example.com', 'de')).rejects.toMatchObject({
      constraint: 'users_email_lower_case',
    });
  });

  it('know two languages', async () => {
    await expect(insertUser('a@example.com', 'fr')).rejects.toMatchObject({
      constraint: 'users_language_known',
    });
  });

  it('keep the rate limits out of the write-ahead log', async () => {
    const { rows } = await client.query(
      `SELECT relpersistence FROM pg_class WHERE oid = 'rate_limits'::regclass`,
    );
    expect(rows).toEqual([{ relpersistence: 'u' }]);
  });
});
