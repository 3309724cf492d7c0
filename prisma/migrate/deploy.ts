import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type ConnectionTarget, ensureDatabase, parseDatabaseUrl } from './connection.ts';
import type { FailedScript } from './engine-adapter.ts';
import { type EngineSession, runEngineCommand, wholeSchema, withSchemaEngine } from './engine.ts';
import { LOCK_NOT_AVAILABLE, MigrateError } from './errors.ts';
import { type MigrationStatus, readHistory } from './history.ts';
import { dropInvalidIndexes, isConcurrent } from './invalid-indexes.ts';
import { migrateJobQueue } from './job-queue.ts';
import { withMigrationLock } from './lock.ts';
import {
  type Migration,
  type ProjectPaths,
  projectPaths,
  readMigrations,
  toMigrationList,
} from './project-files.ts';
import { codeOf } from './sql-code.ts';

/** Long enough for ordinary transactions to end, short enough for requests to wait behind it. */
const TABLE_LOCK_TIMEOUT_MS = 3_000;
const TABLE_LOCK_ATTEMPTS = 10;

export interface DeployOptions {
  databaseUrl: string;
  /** One line for each thing that happens. */
  onProgress?: (message: string) => void;
  /** How long to wait for another process that is migrating; 10 minutes by default. */
  lockTimeoutMs?: number;
  /**
   * How long a migration waits for a table that others use; 3 s by default. Everybody who comes
   * later waits behind it: so it gives way, lets them pass for as long, and tries again.
   */
  tableLockTimeoutMs?: number;
  paths?: ProjectPaths;
}

interface Deployment {
  client: pg.Client;
  target: ConnectionTarget;
  paths: ProjectPaths;
  migrations: Migration[];
  history: MigrationStatus[];
  onProgress: (message: string) => void;
  tableLockTimeoutMs: number;
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
  tableLockTimeoutMs = TABLE_LOCK_TIMEOUT_MS,
  paths = projectPaths,
}: DeployOptions): Promise<{ applied: string[] }> {
  const target = parseDatabaseUrl(databaseUrl);
  const migrations = await readMigrations(paths);
  if (await ensureDatabase(target)) {
    onProgress(`Created database "${target.database}".`);
  }
  return withMigrationLock(target, { onProgress, lockTimeoutMs }, async (client) => {
    const plan = { target, paths, migrations, onProgress, tableLockTimeoutMs };
    const applied = await applyMigrations(client, plan);
    await migrateJobQueue(target);
    return { applied };
  });
}

/** Applies what is pending of these migrations. The client is the one that holds the migration lock. */
export async function applyMigrations(
  client: pg.Client,
  {
    tableLockTimeoutMs = TABLE_LOCK_TIMEOUT_MS,
    ...plan
  }: Omit<Deployment, 'client' | 'history' | 'tableLockTimeoutMs'> & {
    tableLockTimeoutMs?: number;
  },
): Promise<string[]> {
  const look = async (): Promise<Deployment> => {
    const history = await readHistory(client, plan.target, plan.migrations);
    return { client, ...plan, history, tableLockTimeoutMs };
  };
  const first = await look();
  await applyPending(first, look);
  return pendingIn(first);
}

function pendingIn({ history }: Deployment): string[] {
  return history
    .filter(({ state }) => state === 'pending' || state === 'interrupted')
    .map(({ name }) => name);
}

/** A migration did not get its locks. It is rolled back and marked so: the next deploy runs it again. */
class TableLockedError extends MigrateError {
  readonly migration: string;

  constructor(migration: string, options: ErrorOptions) {
    super(
      `Migration ${migration} did not get the locks that it needs: a long query or an idle ` +
        'transaction uses its tables. Nothing of it remains, and the next attempt runs it again. ' +
        'Find who is in the way in pg_stat_activity (oldest xact_start) and end that.',
      options,
    );
    this.migration = migration;
  }
}

async function applyPending(first: Deployment, look: () => Promise<Deployment>): Promise<void> {
  const { target, history, onProgress, tableLockTimeoutMs } = first;
  refuseFailed(first);
  for (const { name } of history.filter(({ state }) => state === 'edited')) {
    onProgress(`Migration ${name} was edited after it was applied here: the edit has no effect.`);
  }
  const onLog = (line: string): void => {
    const name = /^Applying `(.+)`$/.exec(line)?.[1];
    if (name !== undefined) {
      onProgress(`Applying ${name}.`);
    }
  };
  const options = { onLog, tableLockTimeoutMs };
  let deployment = first;
  for (let attempt = 1; pendingIn(deployment).length > 0; attempt += 1) {
    try {
      await withSchemaEngine(target, (session) => applyWithEngine(session, deployment), options);
    } catch (error) {
      if (!(error instanceof TableLockedError) || attempt === TABLE_LOCK_ATTEMPTS) throw error;
      onProgress(`Migration ${error.migration} waits for tables that are in use: again soon.`);
      await delay(tableLockTimeoutMs);
    }
    deployment = await look();
  }
}

async function applyWithEngine(session: EngineSession, deployment: Deployment): Promise<void> {
  const { paths, migrations, history, onProgress } = deployment;
  await dropUnfinishedIndexes(deployment);
  for (const { name } of history.filter(({ state }) => state === 'interrupted')) {
    await runEngineCommand(
      `Migration ${name} could not be marked as rolled back`,
      session.engine.markMigrationRolledBack({ migrationName: name }),
    );
    onProgress(`Migration ${name} was cut off before it finished and left nothing: again.`);
  }
  try {
    await runEngineCommand(
      'The migrations could not be applied',
      session.engine.applyMigrations({
        migrationsList: toMigrationList(paths, migrations),
        filters: wholeSchema,
      }),
    );
  } catch (error) {
    const failed = session.failedScript();
    if (failed === undefined) throw error;
    const name = migrations.find(({ sql }) => sql === failed.sql)?.name ?? '(unknown)';
    if (failed.error.code !== LOCK_NOT_AVAILABLE || mayLeavePart(failed.sql)) {
      throw failedMigration(name, failed);
    }
    await runEngineCommand(
      `Migration ${name} could not be marked as rolled back`,
      session.engine.markMigrationRolledBack({ migrationName: name }),
    );
    throw new TableLockedError(name, { cause: failed.error });
  }
}

/** Of earlier attempts at what is to be applied. */
async function dropUnfinishedIndexes(deployment: Deployment): Promise<void> {
  const { client, target, migrations, onProgress } = deployment;
  const names = pendingIn(deployment);
  for (const { sql } of migrations.filter(({ name }) => names.includes(name))) {
    if (!isConcurrent(sql)) continue;
    for (const index of await dropInvalidIndexes(client, target, sql)) {
      onProgress(`Dropped index ${index}, which an earlier attempt did not finish.`);
    }
  }
}

/** Whether its file does not run as one transaction. */
function mayLeavePart(sql: string): boolean {
  return /(?:^|;)\s*(?:commit|end)\b/i.test(codeOf(sql));
}

/**
 * Stops at a migration that has failed before. One that was only cut off, with its process, has been
 * rolled back by PostgreSQL (the lock was waited for, so nothing of it is still running) and simply
 * runs again, unless its file commits by itself. One that builds an index concurrently is a single
 * statement, and what it left has been dropped.
 */
function refuseFailed({ history, migrations }: Deployment): void {
  for (const { name, state } of history) {
    const sql = migrations.find((migration) => migration.name === name)?.sql ?? '';
    if (state === 'failed' || (state === 'interrupted' && mayLeavePart(sql))) {
      throw new MigrateError(
        `Migration ${name} ${state === 'failed' ? 'has failed' : 'was cut off'} on this database ` +
          `before, so nothing more is applied.\n${nextSteps(name)}`,
      );
    }
  }
}

function failedMigration(name: string, { sql, error }: FailedScript): MigrateError {
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
    `  npm run db:resolve -- --rolled-back ${name}   if nothing of it remains; the next deploy runs it again`,
    `  npm run db:resolve -- --applied ${name}       if you have completed it by hand`,
    'and run npm run db:deploy. In the image these are node dist/migrate.js resolve … and node dist/migrate.js.',
  ].join('\n');
}
