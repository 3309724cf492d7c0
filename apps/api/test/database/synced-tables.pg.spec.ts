import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type SyncTable, syncTables } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createMigration } from '../../../../prisma/migrate/create.js';
import { deployMigrations } from '../../../../prisma/migrate/deploy.js';
import { projectPaths, type ProjectPaths } from '../../../../prisma/migrate/project-files.js';
import { codeBlock } from '../support/docs.js';
import { firstTables } from '../support/first-tables.js';
import { SyncSession } from '../support/sync-session.js';
import { faultsOf } from '../support/synced-tables.js';
import { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** Holds the registry against the migrated database; the drift check holds that against the Prisma schema. */
describe('synced tables', () => {
  let database: TestDatabase;
  let sql: pg.Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  test.each(syncTables.map((table) => [table.name, table] as const))(
    '%s is in the database as in the registry',
    async (_name, table) => {
      expect(await faultsOf(sql, table)).toEqual([]);
    },
  );

  test('every table that hangs on a clock is in the registry', async () => {
    const { rows } = await sql.query<{ name: string }>(
      `SELECT conrelid::regclass::text AS name FROM pg_constraint
       WHERE contype = 'f' AND confrelid = 'sync_clocks'::regclass
         AND conrelid NOT IN ('sync_answers'::regclass, 'sync_lost_intervals'::regclass)`,
    );
    expect(new Set(rows.map(({ name }) => name))).toEqual(
      new Set(syncTables.map(({ name }) => name)),
    );
  });

  test('what is missing is said in a sentence', async () => {
    const projects = syncTables[0]!;
    await sql.query(`CREATE TABLE careless (
      user_id uuid NOT NULL, id text NOT NULL UNIQUE, name text, extra integer,
      version bigint NOT NULL, is_deleted boolean NOT NULL, project_id text REFERENCES roles)`);
    const careless = {
      ...projects,
      name: 'careless',
      columns: {
        name: { type: 'number' },
        project_id: { type: 'string', references: 'projects' },
        colour: { type: 'string' },
      },
    } as const satisfies SyncTable;
    const faults = [
      ...(await faultsOf(sql, { ...projects, name: 'invoices' })),
      ...(await faultsOf(sql, careless)),
    ];
    expect(faults).toEqual([
      'The table invoices is in the registry, but not in the database: add a Prisma model and a migration.',
      'careless.id is text not null in the database: expected text collate "C" not null. ' +
        'Write COLLATE "C" behind its type in the migration: Prisma has no word for it.',
      'careless.name is text null in the database: expected double precision not null.',
      'careless.project_id is text null in the database: expected text collate "C" not null.',
      'careless.colour is missing in the database: expected text not null.',
      'careless.extra is in the database, but not in the registry.',
      'careless needs the primary key (user_id, id).',
      'careless needs an index on (user_id, version).',
      'The unique index of careless on (id) must begin with user_id.',
      'careless.user_id must reference sync_clocks(user_id) and cascade on delete.',
      'careless must not have the foreign key: FOREIGN KEY (project_id) REFERENCES roles(name).',
    ]);
    await sql.query('DROP TABLE careless');
  });
});

/** The steps of docs/sync.md, under names that no table of the product will have. */
async function readSteps() {
  const block = (language: string, content: string) =>
    codeBlock('sync.md', language, content)
      .replaceAll('notes', 'third_notes')
      .replaceAll('Note', 'ThirdNote');
  const declaration = stripTypeScriptTypes(block('ts', "name: 'notes'"));
  const module = (await import(
    `data:text/javascript,${encodeURIComponent(declaration)}`
  )) as Record<string, SyncTable>;
  return {
    table: module['third_notes']!,
    relation: block('prisma', 'Note[]'),
    model: block('prisma', 'model Note'),
    lines: block('sql', 'COLLATE').split('\n'),
  };
}

describe('a third table, added in the three steps of docs/sync.md', () => {
  let folder: string;
  let paths: ProjectPaths;
  let database: TestDatabase;
  let rind: TestApp;
  let notes: SyncTable;

  beforeAll(async () => {
    const { table, relation, model, lines } = await readSteps();
    notes = table;
    folder = await mkdtemp(path.join(tmpdir(), 'rind-third-table-'));
    paths = {
      schemaFile: path.join(folder, 'schema.prisma'),
      migrationsDir: path.join(folder, 'migrations'),
    };
    await cp(projectPaths.migrationsDir, paths.migrationsDir, { recursive: true });
    const schema = await readFile(projectPaths.schemaFile, 'utf8');
    const withRelation = schema.replace('\n  @@map("sync_clocks")', `${relation}\n$&`);
    await writeFile(paths.schemaFile, `${withRelation}\n${model}\n`);
    database = await createTestDatabase();
    // Step 3: the migration, in which ids get their byte order.
    const migration = await createMigration({ serverUrl: database.url, name: 'add_notes', paths });
    const sql = migration!.sql.replaceAll(/("id"|"task_id") TEXT/g, '$1 TEXT COLLATE "C"');
    for (const line of lines) expect(sql).toContain(line);
    await writeFile(migration!.file, sql);
    await deployMigrations({ databaseUrl: database.url, paths });
    rind = await TestApp.start({ database, tables: [...firstTables, notes] });
  });
  afterAll(async () => {
    await rind.stop();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  test('is complete', async () => {
    const sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
    expect(await faultsOf(sql, notes)).toEqual([]);
    await sql.end();
  });

  test('syncs, cascades and belongs to its user', async () => {
    const session = await SyncSession.open(rind);
    const stranger = await SyncSession.open(rind);
    const note = { id: 'n', body: 'Hello', pinned: true, task_id: 't' };
    const { rows } = await session.write({
      tasks: { created: [{ id: 't', title: 'Task' }] },
      [notes.name]: { created: [note] },
    });
    expect(rows(notes.name)).toEqual([note]);
    expect((await stranger.pull('')).rows(notes.name)).toEqual([]);
    const { deleted } = await session.write({ tasks: { deleted: ['t'] } });
    expect(deleted(notes.name)).toEqual(['n']);
  });

  test('stands in the schema that clients read', async () => {
    const { accessToken: token } = await rind.signUp();
    const { body } = await rind.request<{ version: number }>('GET', '/sync/schema', { token });
    expect(body.version).toBe(2);
  });
});
