import { type ConnectionTarget, parseDatabaseUrl } from './connection.ts';
import { type EngineSession, runEngineCommand, withSchemaEngine } from './engine.ts';
import { withMigrationLock } from './lock.ts';
import {
  type ProjectPaths,
  projectPaths,
  readMigrations,
  toMigrationList,
} from './project-files.ts';

export interface ResolveOptions {
  databaseUrl: string;
  name: string;
  outcome: 'applied' | 'rolled-back';
  onProgress?: (message: string) => void;
  paths?: ProjectPaths;
}

/** Records what became of a migration; runs nothing of it. */
export async function resolveMigration({
  databaseUrl,
  name,
  outcome,
  onProgress = () => undefined,
  paths = projectPaths,
}: ResolveOptions): Promise<void> {
  const target: ConnectionTarget = parseDatabaseUrl(databaseUrl);
  const migrationsList = toMigrationList(paths, await readMigrations(paths));
  const mark = ({ engine }: EngineSession): Promise<unknown> =>
    outcome === 'applied'
      ? engine.markMigrationApplied({ migrationName: name, migrationsList })
      : engine.markMigrationRolledBack({ migrationName: name });
  await withMigrationLock(target, { onProgress }, () =>
    withSchemaEngine(target, (session) =>
      runEngineCommand(`Migration ${name} could not be marked as ${outcome}`, mark(session)),
    ),
  );
}
