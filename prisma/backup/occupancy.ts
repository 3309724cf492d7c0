import pg from 'pg';
import { type ConnectionTarget } from '../migrate/connection.ts';
import { MigrateError } from '../migrate/errors.ts';
import { readHistory } from '../migrate/history.ts';
import type { Migration } from '../migrate/project-files.ts';
import { noRind, readMigrationRows, readTables } from './catalog.ts';

/** They have rows in a database that nobody has used yet. */
const NEVER_EMPTY = new Set(['_prisma_migrations', 'roles', 'secret_ages', 'sync_marker']);

/** An API that runs would go on with what it remembers, and lose what it writes meanwhile. */
export async function refuseRunningApi(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ connections: number; addresses: string | null }>(
    `SELECT count(*)::int AS connections, string_agg(DISTINCT host(client_addr), ', ') AS addresses
     FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'rind-%'`,
  );
  const { connections, addresses } = rows[0]!;
  if (connections === 0) return;
  throw new MigrateError(
    `The API runs on this database (${connections} connections${addresses ? ` from ${addresses}` : ''}): ` +
      'stop it, all its instances and workers, and try again. Nothing was changed. Behind a pooler its idle ' +
      "connections stay open after that: RECONNECT in PgBouncer's console closes them.",
  );
}

interface ReplaceOptions {
  target: ConnectionTarget;
  migrations: Migration[];
  /** Somebody said that what is there may go. */
  replace: boolean;
}

/** Goes on only where nothing would be lost, or where somebody wants just that. */
export async function refuseToReplace(
  client: pg.Client,
  { target, migrations, replace }: ReplaceOptions,
): Promise<void> {
  const { schema, database } = target;
  const tables = await readTables(client, schema);
  if (tables.length === 0) return;
  const applied = (await readMigrationRows(client, schema)) ?? [];
  if (!applied.some(({ name }) => name === migrations[0]?.name)) {
    throw new MigrateError(
      `${noRind(database).message} It has other tables: ${tables.map(({ name }) => name).join(', ')}. ` +
        'Restore into a database of its own.',
    );
  }
  if (replace) return;
  const lost = [];
  for (const { name, isEphemeral } of tables) {
    if (isEphemeral || NEVER_EMPTY.has(name)) continue;
    const { rows } = await client.query<{ count: string }>(
      `SELECT count(*) FROM ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`,
    );
    if (rows[0]!.count !== '0') lost.push(`${name} ${rows[0]!.count}`);
  }
  if (lost.length === 0) return;
  throw new MigrateError(
    `The database "${database}" is in use. All of it would be lost: ${lost.join(', ')} rows. ` +
      'Add --replace if the backup is to take its place, and back it up before: npm run db:backup -- FILE.',
  );
}

/** Whether a newer version has migrated the database, so that it may have tables that nobody here knows. */
export async function isOfNewerVersion(
  client: pg.Client,
  target: ConnectionTarget,
  migrations: Migration[],
): Promise<boolean> {
  const history = await readHistory(client, target, migrations);
  return history.some(({ state }) => state === 'unknown');
}
