import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { MigrateError } from '../migrate/errors.ts';
import { type CatalogTable, readTables } from './catalog.ts';
import { copySettings, tableWithColumns } from './copy-command.ts';
import type { BackupTable, SequenceValue } from './format.ts';
import { CREATE_LOADED_JOBS, jobsTable } from './job-rows.ts';
import type { Progress } from './progress.ts';
import { type BackupContent, readBackup } from './read-backup.ts';

/** Holds the file's jobs beside the tables, until the database changes over. */
const LOADED_JOBS = 'loaded_jobs';

interface LoadOptions {
  file: string;
  /** Where the tables are, as the file's migrations make them. */
  schema: string;
  progress: Progress;
}

/** Fills freshly migrated tables with what is in the file, all or nothing. */
export async function loadBackup(
  client: pg.Client,
  { file, schema, progress }: LoadOptions,
): Promise<BackupContent> {
  await client.query(copySettings);
  await client.query('BEGIN');
  const tables = new Map((await readTables(client, schema)).map((table) => [table.name, table]));
  await client.query(CREATE_LOADED_JOBS);
  // Some migrations insert rows, which are in the file, too.
  await truncate(client, [...tables.keys()]);
  // Neither announce rows nor change them: they have been through this before.
  for (const name of tables.keys())
    await client.query(`ALTER TABLE ${pg.escapeIdentifier(name)} DISABLE TRIGGER USER`);
  const dropped = await dropIndexesAndReferences(client, schema);
  const content = await readBackup(
    file,
    (table, rows) => load(client, { table, rows, target: tables.get(table.name), progress }),
    progress,
  );
  progress.say('Building the indexes.');
  // All at once is faster than row by row, and takes tables that refer to each other in a circle.
  for (const add of dropped) await client.query(add);
  for (const name of tables.keys())
    await client.query(`ALTER TABLE ${pg.escapeIdentifier(name)} ENABLE TRIGGER USER`);
  await setSequences(client, content.sums.sequences);
  await client.query('COMMIT');
  return content;
}

async function truncate(client: pg.Client, tables: string[]): Promise<void> {
  const names = tables.map((name) => pg.escapeIdentifier(name));
  if (names.length > 0) await client.query(`TRUNCATE ${names.join(', ')}`);
}

/** What makes loading slow: taken away before, and built at once afterwards. */
const INDEXES_AND_REFERENCES = `
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS add,
       CASE contype WHEN 'f' THEN 1 ELSE 2 END AS position
FROM pg_constraint
WHERE contype IN ('f', 'p', 'u', 'x') AND connamespace = to_regnamespace(quote_ident($1)) AND conparentid = 0
UNION ALL
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid), 3
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('i', 'I') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype <> 'f')
ORDER BY position`;

/** Answers the statements that bring them back: references last, since they need the keys. */
async function dropIndexesAndReferences(client: pg.Client, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ drop: string; add: string }>(INDEXES_AND_REFERENCES, [
    schema,
  ]);
  for (const { drop } of rows) await client.query(drop);
  return rows.map(({ add }) => add).toReversed();
}

interface TableLoad {
  table: BackupTable;
  rows: AsyncIterable<Buffer>;
  /** The table as the migrations make it, if they do. */
  target: CatalogTable | undefined;
  progress: Progress;
}

async function load(
  client: pg.Client,
  { table, rows, target, progress }: TableLoad,
): Promise<void> {
  if (table.name === jobsTable.name) {
    const loaded = tableWithColumns({ ...jobsTable, name: LOADED_JOBS });
    await pipeline(rows, client.query(copyFrom(`COPY ${loaded} FROM STDIN`)));
    return;
  }
  if (target === undefined) {
    for await (const _piece of rows);
    progress.say(`  ${table.name} is left out: no migration makes this table.`);
    return;
  }
  refuseOtherColumns(table, target);
  await pipeline(rows, client.query(copyFrom(`COPY ${tableWithColumns(table)} FROM STDIN`)));
}

/** Somebody changed the table by hand there, so that its rows do not fit here. */
function refuseOtherColumns(table: BackupTable, target: CatalogTable): void {
  const describe = ({ columns }: BackupTable): string[] =>
    columns.map(({ name, type }) => `${name} ${type}`).toSorted();
  const there = describe(table);
  const here = describe(target);
  const differences = [
    ...there.filter((column) => !here.includes(column)),
    ...here.filter((column) => !there.includes(column)),
  ];
  if (differences.length === 0) return;
  throw new MigrateError(
    `The table ${table.name} in the backup is not what its migrations make (${differences.join(', ')}): ` +
      'it was changed by hand. Nothing was restored.',
  );
}

async function setSequences(client: pg.Client, sequences: SequenceValue[]): Promise<void> {
  for (const { name, lastValue, isCalled } of sequences) {
    await client.query(
      `SELECT setval(sequence, $2, $3) FROM to_regclass(quote_ident($1)) AS sequence WHERE sequence IS NOT NULL`,
      [name, lastValue, isCalled],
    );
  }
}

export function loadedJobs(schema: string): string {
  return `${pg.escapeIdentifier(schema)}.${LOADED_JOBS}`;
}
