import { type ConnectionTarget, ensureDatabase, parseDatabaseUrl } from './connection.ts';
import type { FailedScript } from './engine-adapter.ts';
import { type EngineSession, runEngineCommand, wholeSchema, withSchemaEngine } from './engine.ts';
import { MigrateError } from './errors.ts';
import { type MigrationStatus, readHistory } from './history.ts';
import { migrateJobQueue } from './job-queue.ts';
import { withMigrationLock } from './lock.ts';
import {
  type Migration,
  type ProjectPaths,
  projectPaths,
  readMigrations,
  toMigrationList,
} from './project-files.ts';

export interface DeployOptions {
  databaseUrl: string;
  /** One line for each thing that happens. */
  onProgress?: (message: string) => void;
  /** How long to wait for another process that is migrating; 10 minutes by default. */
  lockTimeoutMs?: number;
  paths?: ProjectPaths;
}

interface Deployment {
  target: ConnectionTarget;
  paths: ProjectPaths;
  migrations: Migration[];
  history: MigrationStatus[];
  onProgress: (message: string) => void;
}

/**
 * Applies every pending migration, each as one transaction, and those of the job queue; creates the
 * database if there is none. Safe to run from several processes at once: they take turns.
 * @throws MigrateError when a migration fails, or an earlier one has failed and is not resolved
 */
export async function deployMigrations({
  databaseUrl,
  onProgress = () => undefined,
  lockTimeoutMs,
  paths = projectPaths,
}: DeployOptions): Promise<{ applied: string[] }> {
  const target = parseDatabaseUrl(databaseUrl);
  const migrations = await readMigrations(paths);
  if (await ensureDatabase(target)) {
    onProgress(`Created database "${target.database}".`);
  }
  return withMigrationLock(target, { onProgress, lockTimeoutMs }, async (client) => {
    const history = await readHistory(client, target, migrations);
    const applied = await applyPending({ target, paths, migrations, history, onProgress });
    await migrateJobQueue(target);
    return { applied };
  });
}

async function applyPending(deployment: Deployment): Promise<string[]> {
  const { target, history, onProgress } = deployment;
  refuseFailed(deployment);
  for (const { name } of history.filter(({ state }) => state === 'edited')) {
    onProgress(`Migration ${name} was edited after it was applied here: the edit has no effect.`);
  }
  if (!history.some(({ state }) => state === 'pending' || state === 'interrupted')) {
    return [];
  }
  const onLog = (line: string): void => {
    const name = /^Applying `(.+)`$/.exec(line)?.[1];
    if (name !== undefined) {
      onProgress(`Applying ${name}.`);
    }
  };
  return withSchemaEngine(target, (session) => applyWithEngine(session, deployment), { onLog });
}

async function applyWithEngine(session: EngineSession, deployment: Deployment): Promise<string[]> {
  const { paths, migrations, history, onProgress } = deployment;
  for (const { name } of history.filter(({ state }) => state === 'interrupted')) {
    await runEngineCommand(
      `Migration ${name} could not be marked as rolled back`,
      session.engine.markMigrationRolledBack({ migrationName: name }),
    );
    onProgress(`Migration ${name} was cut off before it finished and left nothing: again.`);
  }
  try {
    const { appliedMigrationNames } = await runEngineCommand(
      'The migrations could not be applied',
      session.engine.applyMigrations({
        migrationsList: toMigrationList(paths, migrations),
        filters: wholeSchema,
      }),
    );
    return appliedMigrationNames;
  } catch (error) {
    const failed = session.failedScript();
    throw failed === undefined ? error : failedMigration(failed, migrations);
  }
}

/**
 * Stops at a migration that has failed before. One that was only cut off, with its process, has been
 * rolled back by PostgreSQL (the lock was waited for, so nothing of it is still running) and simply
 * runs again, unless its file says that it does not run as one transaction.
 */
function refuseFailed({ history, migrations }: Deployment): void {
  for (const { name, state } of history) {
    const sql = migrations.find((migration) => migration.name === name)?.sql ?? '';
    const leavesPart = /\b(commit|concurrently)\b/i.test(sql);
    if (state === 'failed' || (state === 'interrupted' && leavesPart)) {
      throw new MigrateError(
        `Migration ${name} ${state === 'failed' ? 'has failed' : 'was cut off'} on this database ` +
          `before, so nothing more is applied.\n${nextSteps(name)}`,
      );
    }
  }
}

function failedMigration({ sql, error }: FailedScript, migrations: Migration[]): MigrateError {
  const name = migrations.find((migration) => migration.sql === sql)?.name ?? '(unknown)';
  const details = [
    error.detail && `DETAIL: ${error.detail}`,
    error.hint && `HINT: ${error.hint}`,
    error.where && `WHERE: ${error.where}`,
  ].filter((line) => line !== undefined && line !== '');
  const lines = [
    `Migration ${name} failed${atLine(sql, error.position)}:`,
    `${error.severity ?? 'ERROR'} ${error.code ?? ''}: ${error.message}`,
    ...details,
    'It runs as one transaction, so nothing of it remains (unless its file commits by itself).',
    nextSteps(name),
  ];
  return new MigrateError(lines.join('\n'), { cause: error });
}

/** PostgreSQL counts characters from 1; people look for lines. */
function atLine(sql: string, position: string | undefined): string {
  if (position === undefined) {
    return '';
  }
  const before = Array.from(sql).slice(0, Number(position) - 1);
  const line = 1 + before.filter((character) => character === '\n').length;
  return ` at line ${line} of its migration.sql`;
}

function nextSteps(name: string): string {
  return [
    'What to do: remove the cause, in the database or in the file. Then say what became of it:',
    `  pnpm db:resolve --rolled-back ${name}   if nothing of it remains; the next deploy runs it again`,
    `  pnpm db:resolve --applied ${name}       if you have completed it by hand`,
    'and run pnpm db:deploy.',
  ].join('\n');
}
