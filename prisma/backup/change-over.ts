import pg from 'pg';
import type { ConnectionTarget } from '../migrate/connection.ts';
import { LOCK_NOT_AVAILABLE, MigrateError, describeError, sqlState } from '../migrate/errors.ts';
import type { Migration } from '../migrate/project-files.ts';
import { putBackJobs } from './job-rows.ts';
import { loadedJobs } from './load.ts';
import { isOfNewerVersion, refuseRunningApi } from './occupancy.ts';
import type { Progress } from './progress.ts';
import { dropObjects, moveObjects, objectsOf } from './schema-objects.ts';

const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01';
const LOCK_TIMEOUT_SECONDS = 30;

export interface ChangeOver {
  clocks: number | null;
  sessions: number | null;
  jobs: { restored: number; leftOut: number };
}

interface ChangeOverOptions {
  target: ConnectionTarget;
  /** Holds the same objects, with the backup in them. */
  staging: ConnectionTarget;
  migrations: Migration[];
  progress: Progress;
}

/** Puts what was prepared in the place of what is there, in one short transaction. */
export async function changeOver(
  client: pg.Client,
  options: ChangeOverOptions,
): Promise<ChangeOver> {
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT_SECONDS}s'`);
    const changed = await changeOverInTransaction(client, options);
    await client.query('COMMIT');
    return changed;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw explained(error);
  }
}

async function changeOverInTransaction(
  client: pg.Client,
  options: ChangeOverOptions,
): Promise<ChangeOver> {
  const { target, staging } = options;
  const jobs = await putBackJobs(client, loadedJobs(staging.schema));
  await client.query(`DROP TABLE ${loadedJobs(staging.schema)}`);
  await dropWhatIsThere(client, options);
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(target.schema)}`);
  await moveObjects(client, staging.schema, target.schema);
  // Fails where something was left behind in it.
  await client.query(`DROP SCHEMA ${pg.escapeIdentifier(staging.schema)}`);
  const clocks = await markRestored(client);
  const sessions = await countSessions(client);
  // One that was started meanwhile waits for the tables, and has read what is no longer there.
  await refuseRunningApi(client);
  return { clocks, sessions, jobs };
}

/** What this checkout makes, by its names; what others made beside it stays. */
async function dropWhatIsThere(
  client: pg.Client,
  { target, staging, migrations, progress }: ChangeOverOptions,
): Promise<void> {
  const existing = await objectsOf(client, target.schema);
  const coming = new Set((await objectsOf(client, staging.schema)).map(keyOf));
  const known = existing.filter((object) => coming.has(keyOf(object)));
  const unknown = existing.filter((object) => !coming.has(keyOf(object)));
  // Most likely Rind's, too.
  const isObsolete = unknown.length > 0 && (await isOfNewerVersion(client, target, migrations));
  if (isObsolete) {
    progress.say(
      'A newer version has migrated the database. What only that one can have made is dropped: ' +
        `${unknown.map(({ kind, name }) => `${kind.toLowerCase()} ${name}`).join(', ')}.`,
    );
  }
  await dropObjects(client, target.schema, isObsolete ? existing : known);
}

const keyOf = ({ kind, name }: { kind: string; name: string }): string => `${kind} ${name}`;

/** Devices know more than the backup: every clock moves above what they may have been given. */
async function markRestored(client: pg.Client): Promise<number | null> {
  const found = await client.query(
    `SELECT WHERE to_regprocedure('sync_mark_restored()') IS NOT NULL`,
  );
  if (found.rowCount === 0) return null;
  const { rows } = await client.query<{ clocks: string }>('SELECT sync_mark_restored() AS clocks');
  return Number(rows[0]!.clocks);
}

async function countSessions(client: pg.Client): Promise<number | null> {
  const found = await client.query(`SELECT WHERE to_regclass('sessions') IS NOT NULL`);
  if (found.rowCount === 0) return null;
  const { rows } = await client.query<{ sessions: number }>(
    'SELECT count(*)::int AS sessions FROM sessions WHERE expires_at > now()',
  );
  return rows[0]!.sessions;
}

function explained(error: unknown): unknown {
  const state = sqlState(error);
  if (state === LOCK_NOT_AVAILABLE) {
    return new MigrateError(
      `Somebody has used the database's tables for more than ${LOCK_TIMEOUT_SECONDS} s: find out who in ` +
        'pg_stat_activity, end it, and try again. Nothing was changed.',
      { cause: error },
    );
  }
  if (state === DEPENDENT_OBJECTS_STILL_EXIST && error instanceof pg.DatabaseError) {
    return new MigrateError(
      `Something that was added to the database by hand hangs on its tables: ${describeError(error)}. ` +
        `${error.detail ?? ''}\nRemove it, and try again. Nothing was changed.`,
      { cause: error },
    );
  }
  return error;
}
