import pg from 'pg';
import type { ConnectionTarget } from './connection.ts';
import { type Migration, matchesChecksum } from './project-files.ts';

/**
 * - `applied`: in the folder and in the database
 * - `edited`: applied, and its file was changed afterwards
 * - `unknown`: applied, and not in the folder: the database is ahead of this checkout
 * - `pending`: in the folder only
 * - `failed`: PostgreSQL refused it
 * - `interrupted`: begun and neither finished nor refused: running now, or its process was killed
 */
export type MigrationState =
  | 'applied'
  | 'edited'
  | 'unknown'
  | 'pending'
  | 'failed'
  | 'interrupted';

export interface MigrationStatus {
  name: string;
  state: MigrationState;
  /** When it was applied, if it was. */
  finishedAt: Date | null;
}

interface HistoryRow {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
  has_logs: boolean;
}

/** Prisma's record of this database beside the migrations folder, in the order of their names. */
export async function readHistory(
  client: pg.Client,
  target: ConnectionTarget,
  migrations: Migration[],
): Promise<MigrationStatus[]> {
  const rows = await readHistoryRows(client, target);
  const files = new Map(migrations.map((migration) => [migration.name, migration]));
  const names = new Set([...rows.keys(), ...files.keys()]);
  return [...names].toSorted().map((name) => {
    const row = rows.get(name);
    return {
      name,
      state: stateOf(row, files.get(name)),
      finishedAt: row?.finished_at ?? null,
    };
  });
}

function stateOf(row: HistoryRow | undefined, file: Migration | undefined): MigrationState {
  if (row === undefined) {
    return 'pending';
  }
  if (row.finished_at === null) {
    return row.has_logs ? 'failed' : 'interrupted';
  }
  if (file === undefined) {
    return 'unknown';
  }
  return matchesChecksum(file, row.checksum) ? 'applied' : 'edited';
}

/** The latest attempt at each migration that was not marked as rolled back. */
async function readHistoryRows(
  client: pg.Client,
  { schema }: ConnectionTarget,
): Promise<Map<string, HistoryRow>> {
  const table = `${pg.escapeIdentifier(schema)}._prisma_migrations`;
  const found = await client.query<{ exists: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS exists',
    [table],
  );
  if (found.rows[0]?.exists !== true) {
    return new Map();
  }
  const { rows } = await client.query<HistoryRow>(
    `SELECT DISTINCT ON (migration_name)
            migration_name, checksum, finished_at, coalesce(logs, '') <> '' AS has_logs
       FROM ${table}
      WHERE rolled_back_at IS NULL
      ORDER BY migration_name, started_at DESC`,
  );
  return new Map(rows.map((row) => [row.migration_name, row]));
}
