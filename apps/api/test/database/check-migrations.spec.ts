import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { checkMigrations } from '../../../../prisma/migrate/check.ts';
import { type Rule, rules } from '../../../../prisma/migrate/check-rules.ts';
import { codeBlocks, readDocs } from '../support/docs.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'rind-check-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** One migration for each text, in their order. */
async function check(...texts: readonly string[]) {
  for (const [index, sql] of texts.entries()) {
    const number = String(index).padStart(2, '0');
    const folder = path.join(directory, `202701010000${number}_m`);
    await mkdir(folder);
    await writeFile(path.join(folder, 'migration.sql'), sql);
  }
  return checkMigrations({
    paths: { schemaFile: '', migrationsDir: directory },
    lastUnchecked: '',
  });
}

const rulesBrokenBy = async (...texts: readonly string[]) =>
  (await check(...texts)).map(({ rule }) => rule);

/** Each of them is refused for this one reason. */
const refused: Record<Rule, readonly string[]> = {
  'not-sql': ['ALTER TABEL tasks'],
  'index-locks-writes': [
    'CREATE INDEX i ON tasks (title)',
    'CREATE UNIQUE INDEX IF NOT EXISTS i ON public.tasks (title)',
  ],
  'concurrently-not-alone': [
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON tasks (title); SELECT 1',
    'DROP INDEX CONCURRENTLY IF EXISTS i; SELECT 1',
    'REINDEX TABLE CONCURRENTLY tasks; SELECT 1',
  ],
  'concurrently-not-repeatable': [
    'CREATE INDEX CONCURRENTLY i ON tasks (title)',
    'DROP INDEX CONCURRENTLY i',
  ],
  'not-null-without-default': [
    'ALTER TABLE tasks ADD COLUMN colour text NOT NULL',
    'ALTER TABLE tasks ADD COLUMN colour text NOT NULL DEFAULT NULL',
  ],
  'default-rewrites-table': [
    'ALTER TABLE tasks ADD COLUMN token uuid DEFAULT gen_random_uuid()',
    'ALTER TABLE tasks ADD COLUMN at timestamptz NOT NULL DEFAULT coalesce(NULL, clock_timestamp())',
    'ALTER TABLE tasks ADD COLUMN n bigserial',
    'ALTER TABLE tasks ADD COLUMN n int GENERATED ALWAYS AS IDENTITY',
    'ALTER TABLE tasks ADD COLUMN size int GENERATED ALWAYS AS (length(title)) STORED',
  ],
  'set-not-null-scans': [
    'ALTER TABLE tasks ALTER COLUMN title SET NOT NULL',
    'ALTER TABLE tasks ADD CONSTRAINT titled NOT NULL title',
  ],
  'type-rewrites-table': ['ALTER TABLE tasks ALTER COLUMN title TYPE varchar(10)'],
  'constraint-scans': [
    'ALTER TABLE tasks ADD CONSTRAINT short CHECK (length(title) < 10)',
    'ALTER TABLE tasks ADD CONSTRAINT of_user FOREIGN KEY (user_id) REFERENCES users (id)',
    'ALTER TABLE tasks ADD COLUMN owner uuid REFERENCES users (id)',
    'ALTER TABLE tasks ADD COLUMN n int CHECK (n > 0)',
  ],
  'validate-under-lock': [
    `ALTER TABLE tasks ADD CONSTRAINT short CHECK (length(title) < 10) NOT VALID;
     ALTER TABLE tasks VALIDATE CONSTRAINT short`,
  ],
  'unique-locks': [
    'ALTER TABLE tasks ADD CONSTRAINT one UNIQUE (user_id, title)',
    'ALTER TABLE tasks ADD PRIMARY KEY (id)',
    'ALTER TABLE tasks ADD COLUMN code text UNIQUE',
    'ALTER TABLE tasks ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&)',
  ],
  'takes-away': [
    'ALTER TABLE tasks DROP COLUMN title',
    'ALTER TABLE tasks RENAME COLUMN title TO name',
    'ALTER TABLE tasks RENAME TO jobs',
    'ALTER TABLE tasks SET SCHEMA old',
    'DROP TABLE IF EXISTS tasks',
    'DROP TABLE public.tasks CASCADE',
    'TRUNCATE tasks',
    'DROP FUNCTION tell(int)',
    'DROP PROCEDURE tell',
    'DROP VIEW IF EXISTS open_tasks',
    'DROP MATERIALIZED VIEW counts',
    'DROP TYPE mood',
    'DROP DOMAIN positive',
    'DROP SEQUENCE numbers',
  ],
  'rewrites-table': [
    'ALTER TABLE tasks SET UNLOGGED',
    'ALTER TABLE tasks SET TABLESPACE fast',
    'CLUSTER tasks USING i',
    'VACUUM FULL tasks',
  ],
  'locks-table': ['LOCK TABLE tasks', 'REINDEX TABLE tasks'],
  'changes-rows': [
    "UPDATE tasks SET title = ''",
    'DELETE FROM tasks',
    'MERGE INTO tasks USING users ON user_id = users.id WHEN MATCHED THEN DELETE',
    'WITH gone AS (DELETE FROM tasks RETURNING id) INSERT INTO roles (name) SELECT id FROM gone',
    "WITH changed AS (UPDATE tasks SET title = '' RETURNING id) SELECT id FROM changed",
  ],
  'hidden-statements': [
    'DO $$ BEGIN EXECUTE $x$DROP TABLE tasks$x$; END $$',
    'SELECT change_all()',
    'SELECT 1 WHERE (SELECT change_all()) > 0',
    'WITH changed AS (SELECT change_all()) SELECT 1 FROM changed',
    'CALL change_all()',
  ],
  'ends-transaction': ['COMMIT'],
  'session-setting': ['SET lock_timeout = 0', 'SET statement_timeout TO DEFAULT'],
};

describe('a migration is refused', () => {
  test.each(
    Object.entries(refused).flatMap(([rule, texts]) => texts.map((sql) => ({ rule, sql }))),
  )('by $rule: $sql', async ({ rule, sql }) => {
    expect(await rulesBrokenBy(sql)).toEqual([rule]);
  });

  test('with its file, line, rule and what to do, beside characters of several bytes', async () => {
    const sql = `-- Größe 日本\nSELECT 'ß;'; -- no statement;\n\nALTER TABLE "tasks"\n  ADD COLUMN "size" int NOT NULL;\n`;
    expect(await check('SELECT 1', sql)).toEqual([
      {
        migration: '20270101000001_m',
        line: 4,
        rule: 'not-null-without-default',
        message: rules['not-null-without-default'],
      },
    ]);
  });

  test('for each command of one statement', async () => {
    const sql = 'ALTER TABLE tasks DROP COLUMN title, ALTER COLUMN id TYPE uuid USING id::uuid';
    expect(await rulesBrokenBy(sql)).toEqual(['takes-away', 'type-rewrites-table']);
  });
});

describe('a migration may', () => {
  test.each([
    '',
    '-- Nothing but a comment',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON tasks (title)',
    'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON tasks (title)',
    'DROP INDEX CONCURRENTLY IF EXISTS i',
    'REINDEX TABLE CONCURRENTLY tasks',
    'DROP INDEX i',
    "ALTER TABLE tasks ADD COLUMN colour text, ADD COLUMN n int NOT NULL DEFAULT 0, ADD COLUMN data jsonb NOT NULL DEFAULT '{}'::jsonb",
    'ALTER TABLE tasks ADD COLUMN at timestamptz NOT NULL DEFAULT now(), ADD COLUMN on_day date DEFAULT CURRENT_DATE',
    'ALTER TABLE tasks ADD COLUMN size int GENERATED ALWAYS AS (length(title)) VIRTUAL',
    'ALTER TABLE tasks ALTER COLUMN title SET DEFAULT gen_random_uuid()::text, ALTER COLUMN title DROP NOT NULL',
    'ALTER TABLE tasks ADD CONSTRAINT short CHECK (length(title) < 10) NOT VALID',
    'ALTER TABLE tasks ADD CONSTRAINT of_user FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID',
    'ALTER TABLE tasks ADD CONSTRAINT short CHECK (length(title) < 10) NOT ENFORCED',
    'ALTER TABLE tasks ADD CONSTRAINT one UNIQUE USING INDEX i',
    'ALTER TABLE tasks DROP CONSTRAINT short',
    'ALTER TABLE tasks SET (autovacuum_vacuum_scale_factor = 0.01)',
    "SET LOCAL statement_timeout = '1min'",
    "INSERT INTO roles (name) VALUES ('editor')",
    'INSERT INTO roles (id, name) SELECT gen_random_uuid(), name FROM roles',
    'CREATE TABLE labels (); WITH gone AS (DELETE FROM labels RETURNING 1) SELECT 1 FROM gone',
    'DROP TRIGGER told ON tasks',
    'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ UPDATE tasks SET n = 1 RETURNING 1 $$',
  ])('%s', async (sql) => {
    expect(await check(sql)).toEqual([]);
  });

  const changes = `
      ALTER TABLE "labels" ADD COLUMN "n" int NOT NULL, ALTER COLUMN n TYPE bigint, ADD UNIQUE (n);
      CREATE INDEX ON labels (n); UPDATE labels SET n = 1; DELETE FROM labels;
      ALTER TABLE labels RENAME COLUMN n TO m; DROP TABLE labels`;

  test('do anything to a table that it has made itself', async () => {
    expect(await check(`CREATE TABLE "public"."labels" ();${changes}`)).toEqual([]);
  });

  test('not do so to one that an earlier migration has made', async () => {
    expect(await rulesBrokenBy('CREATE TABLE labels ()', changes)).toEqual([
      'not-null-without-default',
      'type-rewrites-table',
      'unique-locks',
      'index-locks-writes',
      'changes-rows',
      'changes-rows',
      'takes-away',
      'takes-away',
    ]);
  });

  test.each([
    ['a check', 'ADD CONSTRAINT titled CHECK (title IS NOT NULL) NOT VALID'],
    ['a NOT NULL constraint', 'ADD CONSTRAINT titled NOT NULL title NOT VALID'],
  ])('set NOT NULL behind %s that an earlier one has validated', async (_, add) => {
    const table = 'ALTER TABLE tasks';
    const steps = [
      `${table} ${add}`,
      `${table} VALIDATE CONSTRAINT titled`,
      `${table} ALTER COLUMN title SET NOT NULL, DROP CONSTRAINT titled`,
    ];
    expect(await rulesBrokenBy(...steps)).toEqual([]);
  });

  test('not set NOT NULL behind a check of another column, or one that nobody validated', async () => {
    const found = await rulesBrokenBy(
      `ALTER TABLE tasks ADD CONSTRAINT a CHECK (id IS NOT NULL) NOT VALID, ADD CONSTRAINT b CHECK (title IS NOT NULL) NOT VALID`,
      'ALTER TABLE tasks VALIDATE CONSTRAINT a',
      'ALTER TABLE tasks ALTER COLUMN title SET NOT NULL',
    );
    expect(found).toEqual(['set-not-null-scans']);
  });
});

describe('a marker', () => {
  test('allows the statement below it, for a reason, and no other one', async () => {
    const sql = `
      -- Nobody has written to it since version 1.2.
      -- rind:allow takes-away because 1.3 was the last version that read it
      ALTER TABLE tasks DROP COLUMN colour;
      ALTER TABLE tasks DROP COLUMN title;`;
    expect(await check(sql)).toMatchObject([{ line: 5, rule: 'takes-away' }]);
  });

  test('allows one rule; another takes another marker', async () => {
    const sql = `
      -- rind:allow takes-away because it is empty
      ALTER TABLE tasks DROP COLUMN colour, ALTER COLUMN title TYPE varchar;`;
    expect(await rulesBrokenBy(sql)).toEqual(['type-rewrites-table']);
  });

  test.each([
    ['without a reason', '-- rind:allow takes-away\n', 'ALTER TABLE tasks DROP COLUMN colour'],
    ['with an empty one', '-- rind:allow takes-away because \n', 'DROP TABLE tasks'],
  ])('%s allows nothing', async (_, marker, sql) => {
    expect(await rulesBrokenBy(marker + sql)).toEqual(['takes-away', 'marker']);
  });

  test('that allows what is not broken is refused, so that none outlives its reason', async () => {
    expect(await check('-- rind:allow takes-away because I like it\nSELECT 1')).toMatchObject([
      { rule: 'marker', message: expect.stringContaining('takes-away') },
    ]);
  });
});

describe('docs/upgrading.md', () => {
  const examples = codeBlocks('upgrading.md', 'sql');

  const isBackfill = (sql: string) => sql.startsWith('UPDATE');

  test('gives examples that keep to the rules, one after the other', async () => {
    expect(await check(...examples.filter((sql) => !isBackfill(sql)))).toEqual([]);
  });

  test('gives an example of what does not belong into a migration', async () => {
    expect(await rulesBrokenBy(...examples.filter(isBackfill))).toEqual(['changes-rows']);
  });

  test('names each rule', () => {
    const named = [...readDocs('upgrading.md').matchAll(/^\| `([a-z-]+)` /gm)].map(
      ([, rule]) => rule,
    );
    expect([...named, 'not-sql'].toSorted()).toEqual(Object.keys(rules).toSorted());
  });
});

test('migrations from before there were rules are left alone', async () => {
  await check('DROP TABLE tasks', 'DROP TABLE projects');
  const paths = { schemaFile: '', migrationsDir: directory };
  expect(await checkMigrations({ paths, lastUnchecked: '20270101000000_m' })).toMatchObject([
    { migration: '20270101000001_m' },
  ]);
});

test('the migrations of this repository keep to the rules', async () => {
  expect(await checkMigrations()).toEqual([]);
});
