import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { sharesSessions } from '../shared-sessions.ts';
import { dropDatabase } from './drop-database.ts';
import { MigrateError, describeError, sqlState } from './errors.ts';

const INVALID_CATALOG_NAME = '3D000';
const DUPLICATE_DATABASE = '42P04';
const UNIQUE_VIOLATION = '23505';
const INSUFFICIENT_PRIVILEGE = '42501';
/** Packets to an address that nobody has may vanish without an answer. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Exists on every server by convention, and is where other databases are created from. */
const MAINTENANCE_DATABASE = 'postgres';

/** Where to connect: a URL for node-postgres, and the schema that Prisma names in its URLs. */
export interface ConnectionTarget {
  url: string;
  database: string;
  schema: string;
}

/** @throws MigrateError when the text is not a PostgreSQL URL that names a database */
export function parseDatabaseUrl(databaseUrl: string): ConnectionTarget {
  if (!URL.canParse(databaseUrl)) {
    throw new MigrateError(
      'The database URL is not a URL: postgresql://user:password@host:5432/database',
    );
  }
  const url = new URL(databaseUrl);
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new MigrateError(`The database URL must begin with postgresql://, not ${url.protocol}//`);
  }
  const database = decodeURIComponent(url.pathname.slice(1));
  if (database === '') {
    throw new MigrateError(
      'The database URL names no database: postgresql://user:password@host:5432/database',
    );
  }
  const schema = url.searchParams.get('schema') ?? 'public';
  return { url: databaseUrl, database, schema };
}

/**
 * The same server and options, another database. In the URL itself, since node-postgres lets the
 * connection string win over a `database` option beside it.
 */
function withDatabase(target: ConnectionTarget, database: string): ConnectionTarget {
  const url = new URL(target.url);
  url.pathname = `/${encodeURIComponent(database)}`;
  return { ...target, url: url.href, database };
}

/** For what needs a server and no particular database. */
export function maintenanceDatabase(target: ConnectionTarget): ConnectionTarget {
  return withDatabase(target, MAINTENANCE_DATABASE);
}

/**
 * Opens one session. Timeouts that the role or the database sets are lifted: they are meant for
 * requests, and a long migration or a long wait for the lock must not run into them.
 */
async function openClient(target: ConnectionTarget): Promise<pg.Client> {
  const client = new pg.Client({
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    connectionString: target.url,
    keepAlive: true,
  });
  // A session that breaks fails its next query; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await refusePooler(client, target);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error instanceof MigrateError ? error : unusable(target, error);
  }
  await client.query(sessionSettings(target));
  return client;
}

/** Before anything is set: a pooler would give that to whoever comes next. */
async function refusePooler(client: pg.Client, { url }: ConnectionTarget): Promise<void> {
  if (!(await sharesSessions(client, url))) return;
  throw new MigrateError(
    `${new URL(url).host} is a pooler in transaction mode, where processes cannot take turns: ` +
      'set DATABASE_DIRECT_URL to the server itself.',
  );
}

/**
 * What every session of the migrate tool sets first. With the last one the server gives up a migration
 * whose client is gone, within a second; by default it would go on and commit what nobody records.
 */
export function sessionSettings({ schema }: ConnectionTarget): string {
  return [
    `SET search_path = ${pg.escapeIdentifier(schema)}`,
    'SET statement_timeout = 0',
    'SET lock_timeout = 0',
    'SET idle_session_timeout = 0',
    'SET client_connection_check_interval = 1000',
  ].join('; ');
}

/** @throws MigrateError that names the server, when the database there cannot be used */
export async function withClient<T>(
  target: ConnectionTarget,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await openClient(target);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** With the server's name and not the whole URL, which holds a password. */
function unusable({ url, database }: ConnectionTarget, error: unknown): MigrateError {
  const server = new URL(url).host || 'the local server';
  return new MigrateError(
    `The database "${database}" on ${server} cannot be used: ${describeError(error)}. ` +
      'Is PostgreSQL running there, and is the address right (DATABASE_DIRECT_URL, else DATABASE_URL)?',
    { cause: error },
  );
}

/** Creates the database if the server does not have it; true when it did. */
export async function ensureDatabase(target: ConnectionTarget): Promise<boolean> {
  try {
    await withClient(target, async () => undefined);
    return false;
  } catch (error) {
    if (sqlState((error as Error).cause) !== INVALID_CATALOG_NAME) throw error;
  }
  try {
    await withClient(maintenanceDatabase(target), (client) =>
      client.query(`CREATE DATABASE ${pg.escapeIdentifier(target.database)}`),
    );
    return true;
  } catch (error) {
    // Another process created it meanwhile: with the second code when both were at it at once.
    if ([DUPLICATE_DATABASE, UNIQUE_VIOLATION].includes(sqlState(error) ?? '')) {
      return false;
    }
    throw new MigrateError(
      `Database "${target.database}" does not exist and could not be created: ${describeError(error)}`,
      { cause: error },
    );
  }
}

/** Says what is missing where the role may not make schemas in the database. */
export async function creatingSchema<T>(
  { database }: ConnectionTarget,
  create: () => Promise<T>,
): Promise<T> {
  try {
    return await create();
  } catch (error) {
    if (sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new MigrateError(
      `${describeError(error)}. The role has to own the database, or to be given the right to make schemas in it: ` +
        `GRANT CREATE ON DATABASE ${pg.escapeIdentifier(database)} TO the role.`,
      { cause: error },
    );
  }
}

export interface TemporaryDatabase {
  target: ConnectionTarget;
  drop(): Promise<void>;
}

/** An empty database on the target's server, for the caller to drop. */
export async function createTemporaryDatabase(
  target: ConnectionTarget,
): Promise<TemporaryDatabase> {
  const database = `rind_shadow_${randomUUID()}`;
  const maintenance = maintenanceDatabase(target);
  try {
    // template0 has nothing in it; template1 may have been given objects on this server.
    await withClient(maintenance, (client) =>
      client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)} TEMPLATE template0`),
    );
  } catch (error) {
    throw new MigrateError(
      `The throw-away database that the migrations are tried on could not be created: ${describeError(error)}`,
      { cause: error },
    );
  }
  return {
    target: withDatabase(target, database),
    drop: async () => {
      await withClient(maintenance, (client) => dropDatabase(client, database));
    },
  };
}
