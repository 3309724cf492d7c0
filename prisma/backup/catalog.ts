import pg from 'pg';
import type { BackupTable, SequenceValue } from './format.ts';
import { MigrateError } from '../migrate/errors.ts';

/** What processes that live only now write about themselves. */
const OF_THIS_MOMENT = ['worker_pools'];

export interface CatalogTable extends BackupTable {
  /** Its rows mean nothing after a restart, so that a backup leaves them out. */
  isEphemeral: boolean;
}

const TABLES = `
SELECT c.relname AS name, c.relpersistence = 'u' OR c.relname = ANY($2) AS "isEphemeral",
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod))
                            ORDER BY a.attnum), '[]')
   FROM pg_attribute a
   -- PostgreSQL computes generated columns, and refuses to take them.
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind = 'r' AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname COLLATE "C"`;

/** The tables of a schema, but for those of extensions. */
export async function readTables(client: pg.Client, schema: string): Promise<CatalogTable[]> {
  const { rows } = await client.query<CatalogTable>(TABLES, [schema, OF_THIS_MOMENT]);
  return rows;
}

/** What PostgreSQL records of a migration that was applied; null where there is no such record. */
export async function readMigrationRows(
  client: pg.Client,
  schema: string,
): Promise<{ name: string; checksum: string }[] | null> {
  const table = `${pg.escapeIdentifier(schema)}._prisma_migrations`;
  const found = await client.query('SELECT WHERE to_regclass($1) IS NOT NULL', [table]);
  if (found.rowCount === 0) return null;
  const { rows } = await client.query<{ name: string; checksum: string }>(
    `SELECT migration_name AS name, checksum FROM ${table} WHERE ${APPLIED} ORDER BY migration_name`,
  );
  return rows;
}

/** Attempts that failed or were cut off have left nothing that a backup holds. */
export const APPLIED = 'finished_at IS NOT NULL AND rolled_back_at IS NULL';

/** Values of sequences belong to no snapshot: read after the tables, they are never behind them. */
export async function readSequences(client: pg.Client, schema: string): Promise<SequenceValue[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
     WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind = 'S' ORDER BY relname COLLATE "C"`,
    [schema],
  );
  const sequences = [];
  for (const { name } of rows) {
    const { rows: values } = await client.query<Omit<SequenceValue, 'name'>>(
      `SELECT last_value::text AS "lastValue", is_called AS "isCalled"
       FROM ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`,
    );
    sequences.push({ name, ...values[0]! });
  }
  return sequences;
}

export function noRind(database: string): MigrateError {
  return new MigrateError(
    `The database "${database}" holds no Rind: nothing there was made by its migrations.`,
  );
}
