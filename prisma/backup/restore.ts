import pg from 'pg';
import {
  type ConnectionTarget,
  creatingSchema,
  ensureDatabase,
  parseDatabaseUrl,
  withClient,
} from '../migrate/connection.ts';
import { applyMigrations } from '../migrate/deploy.ts';
import { MigrateError } from '../migrate/errors.ts';
import { migrateJobQueue } from '../migrate/job-queue.ts';
import { withMigrationLock } from '../migrate/lock.ts';
import {
  type Migration,
  type ProjectPaths,
  matchesChecksum,
  projectPaths,
  readMigrations,
} from '../migrate/project-files.ts';
import type { BackupHeader } from './format.ts';
import { changeOver } from './change-over.ts';
import { loadBackup } from './load.ts';
import { refuseRunningApi, refuseToReplace } from './occupancy.ts';
import { type Progress, silentProgress } from './progress.ts';
import { type BackupContent, verifyBackup } from './read-backup.ts';

/** One less than PostgreSQL's NAMEDATALEN. */
const MAX_NAME_BYTES = 63;
/** The comment on the schema that a restore works in: what has it may be dropped. */
const STAGING_MARK = 'A restore of Rind that is under way, or was cut off.';

export interface RestoreOptions {
  databaseUrl: string;
  file: string;
  /** What is in the database may be lost. */
  replace?: boolean;
  progress?: Progress;
  paths?: ProjectPaths;
}

export interface RestoreSummary {
  header: BackupHeader;
  rows: number;
  /** Clocks that were moved above what devices may know; null where the schema has none. */
  clocks: number | null;
  /** Sessions in the backup that have not expired. */
  sessions: number | null;
  jobs: { restored: number; leftOut: number };
}

/**
 * Makes the database what it was when the backup was made, under the schema of this checkout. All of it
 * is prepared in a schema beside the one in use, and changes over in one transaction: until then, and
 * whatever fails, nothing has happened to what was there.
 * @throws MigrateError when the file or the database does not allow it
 */
export async function restoreBackup({
  databaseUrl,
  file,
  replace = false,
  progress = silentProgress,
  paths = projectPaths,
}: RestoreOptions): Promise<RestoreSummary> {
  const target = parseDatabaseUrl(databaseUrl);
  const staging = stagingOf(target);
  progress.say(`Checking ${file}.`);
  const { header } = await verifyBackup(file);
  const migrations = await readMigrations(paths);
  const known = knownMigrations(header, migrations, progress);
  const onProgress = (line: string): void => progress.say(line);
  if (await ensureDatabase(target)) progress.say(`Created database "${target.database}".`);
  return withMigrationLock(target, { onProgress }, async (client) => {
    await refuseRunningApi(client);
    await refuseToReplace(client, { target, migrations, replace });
    await createStaging(client, staging);
    try {
      progress.say(`Restoring the backup of ${header.createdAt}.`);
      const prepare = { target: staging, paths };
      await applyMigrations(client, { ...prepare, migrations: known, onProgress: () => undefined });
      const content = await withClient(staging, (loader) =>
        loadBackup(loader, { file, schema: staging.schema, progress }),
      );
      await applyMigrations(client, { ...prepare, migrations, onProgress });
      await analyze(staging);
      // Of the database in use, so as late as can be.
      await migrateJobQueue(target);
      const changed = await changeOver(client, { target, staging, migrations, progress });
      return { header, rows: rowsOf(content), ...changed };
    } catch (error) {
      // Where the connection is gone, the next restore does it.
      await dropStaging(client, staging.schema).catch(() => undefined);
      throw error;
    }
  });
}

/** The migrations that made the schema of the file; all of them have to be here. */
function knownMigrations(
  header: BackupHeader,
  migrations: Migration[],
  progress: Progress,
): Migration[] {
  const byName = new Map(migrations.map((migration) => [migration.name, migration]));
  const unknown = header.migrations.filter(({ name }) => !byName.has(name));
  if (unknown.length === header.migrations.length) {
    throw new MigrateError(
      'The backup is of another product: none of its migrations is known here.',
    );
  }
  if (unknown.length > 0) {
    throw new MigrateError(
      `The backup was made by a newer version (${header.version}), whose migrations are unknown here: ` +
        `${unknown.map(({ name }) => name).join(', ')}. Restore it with that version.`,
    );
  }
  return header.migrations.map(({ name, checksum }) => {
    const migration = byName.get(name)!;
    if (!matchesChecksum(migration, checksum))
      progress.say(`Migration ${name} was edited after the backup was made.`);
    return migration;
  });
}

/** Beside the schema in use. PostgreSQL cuts names that are too long, and would take one schema for the other. */
function stagingOf(target: ConnectionTarget): ConnectionTarget {
  const schema = `${target.schema}_restoring`;
  if (Buffer.byteLength(schema) > MAX_NAME_BYTES) {
    throw new MigrateError(
      `The schema name "${target.schema}" is too long: the backup is put into "${schema}" first, and PostgreSQL ` +
        `cuts names off after ${MAX_NAME_BYTES} bytes. Rename the schema.`,
    );
  }
  return { ...target, schema };
}

async function createStaging(client: pg.Client, staging: ConnectionTarget): Promise<void> {
  const { schema } = staging;
  // What a restore left behind that was killed.
  await dropStaging(client, schema);
  const name = pg.escapeIdentifier(schema);
  // One message is one transaction: there is none without the mark.
  await creatingSchema(staging, () =>
    client.query(
      `CREATE SCHEMA ${name}; COMMENT ON SCHEMA ${name} IS ${pg.escapeLiteral(STAGING_MARK)}`,
    ),
  );
}

/** None but one that a restore has made. */
async function dropStaging(client: pg.Client, schema: string): Promise<void> {
  const { rows } = await client.query<{ comment: string | null }>(
    `SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1`,
    [schema],
  );
  if (rows.length === 0) return;
  if (rows[0]!.comment !== STAGING_MARK) {
    throw new MigrateError(
      `There is a schema "${schema}" that no restore has made, and a restore needs that name: rename it.`,
    );
  }
  await client.query(`DROP SCHEMA ${pg.escapeIdentifier(schema)} CASCADE`);
}

/** Or the first queries would be planned for empty tables. */
async function analyze(staging: ConnectionTarget): Promise<void> {
  await withClient(staging, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT oid::regclass::text AS name FROM pg_class
       WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind = 'r'`,
      [staging.schema],
    );
    for (const { name } of rows) await client.query(`ANALYZE ${name}`);
  });
}

function rowsOf({ sums }: BackupContent): number {
  return sums.tables.reduce((rows, table) => rows + table.rows, 0);
}
