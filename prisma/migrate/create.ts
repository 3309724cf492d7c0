import { schemaDrift } from './drift.ts';
import { MigrateError } from './errors.ts';
import { type ProjectPaths, projectPaths, writeMigration } from './project-files.ts';

const EMPTY_MIGRATION = '-- Written by hand: schema.prisma does not show what this changes.\n';

export interface CreateOptions {
  /** A server on which a throw-away database may be created; the URL's own database is not touched. */
  serverUrl: string;
  name: string;
  /** Write a migration without SQL when the schema has not changed, to be filled by hand. */
  allowEmpty?: boolean;
  now?: Date;
  paths?: ProjectPaths;
}

export interface CreatedMigration {
  file: string;
  sql: string;
}

/** Writes the migration from the existing ones to schema.prisma; null when there is nothing to do. */
export async function createMigration({
  serverUrl,
  name,
  allowEmpty = false,
  now = new Date(),
  paths = projectPaths,
}: CreateOptions): Promise<CreatedMigration | null> {
  if (!/^[a-z][a-z0-9_]*$/.test(name)) {
    throw new MigrateError(
      `"${name}" is not a migration's name: lower-case letters, digits and _, such as add_due_date.`,
    );
  }
  const sql = (await schemaDrift({ serverUrl, paths })) ?? (allowEmpty ? EMPTY_MIGRATION : null);
  if (sql === null) {
    return null;
  }
  const file = await writeMigration(paths, { name: `${timestamp(now)}_${name}`, sql });
  return { file, sql };
}

/** Prisma's form: 20261121083000, in UTC. */
function timestamp(now: Date): string {
  return now.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
}
