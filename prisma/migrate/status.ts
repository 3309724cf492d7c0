import { parseDatabaseUrl, withClient } from './connection.ts';
import { type MigrationStatus, readHistory } from './history.ts';
import { type ProjectPaths, projectPaths, readMigrations } from './project-files.ts';

export interface StatusOptions {
  databaseUrl: string;
  paths?: ProjectPaths;
}

export async function migrationStatus({
  databaseUrl,
  paths = projectPaths,
}: StatusOptions): Promise<{ migrations: MigrationStatus[]; upToDate: boolean }> {
  const target = parseDatabaseUrl(databaseUrl);
  const files = await readMigrations(paths);
  const migrations = await withClient(target, (client) => readHistory(client, target, files));
  return { migrations, upToDate: migrations.every(({ state }) => state === 'applied') };
}
