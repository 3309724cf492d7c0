import type { DiffTarget } from '@prisma/schema-engine-wasm';
import { type ConnectionTarget, maintenanceDatabase, parseDatabaseUrl } from './connection.ts';
import { runEngineCommand, wholeSchema, withSchemaEngine } from './engine.ts';
import {
  type ProjectPaths,
  projectPaths,
  readMigrations,
  readSchema,
  toMigrationList,
} from './project-files.ts';

export interface SchemaDriftOptions {
  /** A server on which a throw-away database may be created; the URL's own database is not touched. */
  serverUrl: string;
  paths?: ProjectPaths;
}

/** The SQL that the migrations lack to reach schema.prisma; null when they agree. */
export async function schemaDrift({
  serverUrl,
  paths = projectPaths,
}: SchemaDriftOptions): Promise<string | null> {
  const migrations = await readMigrations(paths);
  const schema = await readSchema(paths);
  return compare(
    maintenanceDatabase(parseDatabaseUrl(serverUrl)),
    { tag: 'migrations', ...toMigrationList(paths, migrations) },
    { tag: 'schemaDatamodel', ...schema },
  );
}

export interface DatabaseDriftOptions {
  /** The database to examine; its server is given the throw-away one that it is compared with, too. */
  databaseUrl: string;
  paths?: ProjectPaths;
}

/** The SQL that leads from this database to what the migrations make; null when they agree. */
export async function databaseDrift({
  databaseUrl,
  paths = projectPaths,
}: DatabaseDriftOptions): Promise<string | null> {
  const migrations = await readMigrations(paths);
  const schema = await readSchema(paths);
  return compare(
    parseDatabaseUrl(databaseUrl),
    // Of the schema the engine takes the kind of database only; it reads the one it is connected to.
    { tag: 'schemaDatasource', ...schema, configDir: paths.migrationsDir },
    { tag: 'migrations', ...toMigrationList(paths, migrations) },
  );
}

async function compare(
  target: ConnectionTarget,
  from: DiffTarget,
  to: DiffTarget,
): Promise<string | null> {
  const { exitCode, stdout } = await withSchemaEngine(target, ({ engine }) =>
    runEngineCommand(
      'The comparison could not be made',
      engine.diff({ from, to, script: true, exitCode: true, filters: wholeSchema }),
    ),
  );
  return exitCode === 0 ? null : (stdout ?? '');
}
