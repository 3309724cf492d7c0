import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { backUp } from '../../../../prisma/backup/back-up.ts';
import { FileOutput } from '../../../../prisma/backup/backup-file.ts';
import { restoreBackup } from '../../../../prisma/backup/restore.ts';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { markRestored } from '../../../../prisma/restored/mark-restored.ts';
import { readServerPid } from '../../../../scripts/embedded-postgres/orphan.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../scripts/embedded-postgres.ts';
import { Notices, NoticesTiming } from '../../src/platform/database/notices.js';
import { TcpProxy } from './tcp-proxy.js';
import { TestApp } from './test-app.js';
import { createTestDatabase, databaseUrl, type TestDatabase } from './test-database.js';

/** A running API, and a way in which people put back backups of its database under it. */
export interface Restorable {
  readonly rind: TestApp;
  backUp(): Promise<void>;
  /** The backup that was made last. */
  putBack(): Promise<void>;
  stop(): Promise<void>;
}

/** What outages cause is errors, on purpose. */
const env = { LOG_LEVEL: 'silent' };
/** Fast enough to wait for; slow enough for a busy machine not to seem dead. */
const timing = { proofIntervalMs: 50, reconnectDelayMs: 10 };

async function startApi(database: TestDatabase): Promise<TestApp> {
  const rind = await TestApp.start({ env, database });
  Object.assign(rind.app.get(NoticesTiming), timing);
  return rind;
}

/** The whole database: dropped, and made anew as a copy of a copy. */
export async function replacedDatabase(): Promise<Restorable> {
  const database = await createTestDatabase();
  const rind = await startApi(database);
  const name = new URL(database.url).pathname.slice(1);
  const backup = `${name}_backup`;
  const server = new pg.Client({ connectionString: databaseUrl(database.url, 'postgres') });
  await server.connect();
  return {
    rind,
    backUp: async () => {
      await server.query(`DROP DATABASE IF EXISTS "${backup}"`);
      // A database in use cannot be copied.
      await server.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`);
      await server.query(
        'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1',
        [name],
      );
      await server.query(`CREATE DATABASE "${backup}" TEMPLATE "${name}" STRATEGY FILE_COPY`);
      await server.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`);
    },
    putBack: async () => {
      await server.query(`DROP DATABASE "${name}" WITH (FORCE)`);
      await server.query(`CREATE DATABASE "${name}" TEMPLATE "${backup}" STRATEGY FILE_COPY`);
    },
    stop: async () => {
      await rind.stop();
      await server.query(`DROP DATABASE IF EXISTS "${backup}"`);
      await server.end();
      await database.drop();
    },
  };
}

/** As an operator does it: the API goes away, `pnpm db:restore --replace`, and it comes back. */
export async function restoredFile(): Promise<Restorable> {
  const database = await createTestDatabase();
  const databaseUrl = database.url;
  const wire = await TcpProxy.start(databaseUrl);
  const rind = await startApi({ url: wire.url, drop: async () => undefined });
  const directory = await mkdtemp(path.join(tmpdir(), 'rind-put-back-'));
  const file = path.join(directory, 'backup.rind');
  const sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  return {
    rind,
    backUp: async () => {
      const output = await FileOutput.open(file, { replace: true });
      await backUp({ databaseUrl, version: '1.2.3', output });
    },
    putBack: async () => {
      wire.refuse();
      // Again and again: one that was just being made is not to be seen at first.
      do {
        await sql.query(
          `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'rind-%'`,
        );
      } while ((await wire.openConnections) > 0);
      await restoreBackup({ databaseUrl, file, replace: true });
      wire.pass();
    },
    stop: async () => {
      await rind.stop();
      await wire.close();
      await sql.end();
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
}

/** Tables dropped and made anew in one transaction, while the connections of the API live on. */
export function replacedTables(): Promise<Restorable> {
  return withinDatabase(async (sql, tables, rind) => {
    const foreignKeys = await textsOf(
      sql,
      `SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS text
       FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`,
    );
    const triggers = await textsOf(
      sql,
      `SELECT pg_get_triggerdef(t.oid) AS text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
       WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace`,
    );
    const replace = tables.map(
      (table) => `ALTER TABLE public."${table}" SET SCHEMA gone;
        CREATE TABLE public."${table}" (LIKE gone."${table}" INCLUDING ALL);
        INSERT INTO public."${table}" SELECT * FROM kept."${table}"`,
    );
    const noticed = Promise.all([
      once(rind.app.get(Notices), 'gap'),
      once(rind.app.get(Notices), 'live'),
    ]);
    await sql.query(
      [
        'CREATE SCHEMA gone',
        ...replace,
        'DROP SCHEMA gone CASCADE',
        ...foreignKeys,
        ...triggers,
      ].join(';\n'),
    );
    await noticed;
  });
}

/** Rows only, put back where others were deleted: nothing but the command says so. */
export function replacedRows(): Promise<Restorable> {
  return withinDatabase(async (sql, tables, rind) => {
    const references = await sql.query<{ child: string; parent: string }>(
      `SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent FROM pg_constraint
       WHERE contype = 'f' AND connamespace = 'public'::regnamespace`,
    );
    const ordered: string[] = [];
    const add = (table: string): void => {
      if (ordered.includes(table)) return;
      for (const { child, parent } of references.rows) if (child === table) add(parent);
      ordered.push(table);
    };
    tables.forEach(add);
    await sql.query(
      [
        ...ordered.toReversed().map((table) => `DELETE FROM "${table}"`),
        ...ordered.map((table) => `INSERT INTO "${table}" SELECT * FROM kept."${table}"`),
      ].join(';\n'),
    );
    await markRestored(rind.database.url);
  });
}

async function textsOf(sql: pg.Client, query: string): Promise<string[]> {
  const { rows } = await sql.query<{ text: string }>(query);
  return rows.map(({ text }) => text);
}

/** The backup lies beside the tables, in a schema of its own. */
async function withinDatabase(
  putBack: (sql: pg.Client, tables: string[], rind: TestApp) => Promise<void>,
): Promise<Restorable> {
  const database = await createTestDatabase();
  const rind = await startApi(database);
  const sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  const tables = await textsOf(
    sql,
    `SELECT relname AS text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
     AND relname NOT LIKE '\\_prisma%'`,
  );
  return {
    rind,
    backUp: async () => {
      const copies = tables.map(
        (table) => `CREATE TABLE kept."${table}" AS TABLE public."${table}"`,
      );
      await sql.query(
        ['DROP SCHEMA IF EXISTS kept CASCADE', 'CREATE SCHEMA kept', ...copies].join(';\n'),
      );
    },
    putBack: () => putBack(sql, tables, rind),
    stop: async () => {
      await rind.stop();
      await sql.end();
      await database.drop();
    },
  };
}

/** A copy of the server's files becomes the server, as a standby that is promoted. */
export function promotedStandby(): Promise<Restorable> {
  return withServer({ isStandby: true, afterwards: async () => undefined });
}

/** A copy of the server's files becomes the server: nothing but the command says so. */
export function replacedFiles(): Promise<Restorable> {
  return withServer({
    isStandby: false,
    afterwards: async (url) => void (await markRestored(url)),
  });
}

async function withServer({
  isStandby,
  afterwards,
}: {
  isStandby: boolean;
  afterwards: (url: string) => Promise<void>;
}): Promise<Restorable> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-put-back-'));
  // The server's own user has to enter it, where the tests run as root.
  await chmod(dataDir, 0o711);
  let server = await startEmbeddedPostgres({ dataDir });
  const { directory } = server;
  const backup = `${directory}.backup`;
  await deployMigrations({ databaseUrl: server.url });
  const wire = await TcpProxy.start(server.url);
  const rind = await startApi({ url: wire.url, drop: async () => undefined });
  return {
    rind,
    backUp: async () => {
      await server.stop();
      await copyDirectory(directory, backup);
      server = await startEmbeddedPostgres({ dataDir });
      wire.retarget(server.url);
    },
    putBack: async () => {
      await server.stop();
      await copyDirectory(backup, directory);
      server = await (isStandby
        ? startAndPromote(dataDir, directory)
        : startEmbeddedPostgres({ dataDir }));
      await afterwards(server.url);
      wire.retarget(server.url);
    },
    stop: async () => {
      await rind.stop();
      await wire.close();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** With owners, who are others where the tests run as root. */
async function copyDirectory(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await promisify(execFile)('cp', ['-a', from, to]);
}

/** What `pg_ctl promote` does, which refuses to be run by root. */
async function startAndPromote(dataDir: string, directory: string): Promise<EmbeddedPostgres> {
  const log = path.join(dataDir, 'postgres.log');
  await writeFile(log, '');
  await writeFile(path.join(directory, 'standby.signal'), '');
  // Resolves when the server can be written to.
  const server = startEmbeddedPostgres({ dataDir });
  while (!(await readFile(log, 'utf8')).includes('ready to accept read-only connections')) {
    await setImmediate();
  }
  await writeFile(path.join(directory, 'promote'), '');
  process.kill((await readServerPid(directory))!, 'SIGUSR1');
  return server;
}
