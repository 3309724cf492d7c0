import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { dropDatabase } from '../../../../prisma/migrate/drop-database.ts';

const CLOSING_TIMEOUT_MS = 1000;
const POLL_MS = 10;

/** Where global-setup.ts tells the workers what it made. */
export const TEST_SERVER_VARIABLE = 'RIND_TEST_SERVER';

/** Where it tells them to write down, one a line, which route answered with which problem. */
export const ANSWERS_VARIABLE = 'RIND_TEST_ANSWERS';

/** What all databases of one test run share. */
export interface TestServer {
  /** A role that may create databases, connected to any of them. */
  url: string;
  /** Begins the name of every database of this run. */
  namePrefix: string;
  /** The migrated database that the others are copies of. */
  template: string;
  /** Where the API is to find it through a pooler in transaction mode, in the run of test/pooled. */
  poolerUrl?: string;
}

export interface TestDatabase {
  /** The server itself. */
  url: string;
  /** The way that most of the API's connections take, where a pooler is in between. */
  pooledUrl?: string;
  drop(): Promise<void>;
}

export type DatabaseEnvironment = Record<string, string> & { DATABASE_URL: string };

export interface TestDatabaseOptions {
  /** False for a database without any table, for tests of the migrations themselves. */
  migrated?: boolean;
}

type DropListener = (url: string) => Promise<void>;
const dropListeners: DropListener[] = [];

/** Is called for each database of this test file before it is gone. */
export function onDrop(listener: DropListener): void {
  dropListeners.push(listener);
}

/** Whether this run puts a pooler between the API and its databases. */
export const isPooledRun = (): boolean => testServer().poolerUrl !== undefined;

/** A database for one test file: a copy of the migrated template, in about 20 ms. Drop it at the end. */
export async function createTestDatabase({
  migrated = true,
}: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { url, namePrefix, template, poolerUrl } = testServer();
  const name = namePrefix + randomUUID();
  const source = pg.escapeIdentifier(migrated ? template : 'template0');
  // Copying files takes a fifth of the time of the default, which writes every page to the log.
  await withClient(url, (client) =>
    client.query(
      `CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE ${source} STRATEGY FILE_COPY`,
    ),
  );
  const ownUrl = databaseUrl(url, name);
  // The API would take the copy for a restored backup, which it is, and its tests for their first state.
  if (migrated) await withClient(ownUrl, (client) => client.query('SELECT sync_mark_restored()'));
  return {
    url: ownUrl,
    ...(poolerUrl !== undefined && { pooledUrl: databaseUrl(poolerUrl, name) }),
    drop: async () => {
      try {
        for (const listener of dropListeners) await listener(ownUrl);
      } finally {
        await withClient(url, (client) => dropWhenClosed(client, name));
        await rm(dataDirectory(name), { recursive: true, force: true });
      }
    },
  };
}

/**
 * A pool's `end()` returns before the server has closed its sessions, and a session that is cut off then
 * reports an error that nobody listens for: so they get a moment. What a failed test left open is cut off.
 */
async function dropWhenClosed(client: pg.Client, name: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < CLOSING_TIMEOUT_MS; waitedMs += POLL_MS) {
    const { rowCount } = await client.query(
      `SELECT FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
      [name],
    );
    if (rowCount === 0) break;
    await delay(POLL_MS);
  }
  await dropDatabase(client, name);
}

/** What the API's environment says about a database. */
export function databaseEnvironment({
  url,
  pooledUrl,
}: Omit<TestDatabase, 'drop'>): DatabaseEnvironment {
  if (pooledUrl === undefined) return { DATABASE_URL: url };
  return {
    DATABASE_URL: pooledUrl,
    DATABASE_DIRECT_URL: url,
    DATABASE_PREPARED_STATEMENTS: 'off',
  };
}

/** Where the API of a database, all its instances, keeps files such as mails. */
export function dataDirectoryOf(url: string): string {
  return dataDirectory(decodeURIComponent(new URL(url).pathname.slice(1)));
}

function dataDirectory(databaseName: string): string {
  return path.join(tmpdir(), `rind-data-${databaseName}`);
}

/** The same server and role, another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

function testServer(): TestServer {
  const server = process.env[TEST_SERVER_VARIABLE];
  if (server === undefined) {
    throw new Error('No test server: this test belongs to the Jest project with global-setup.ts.');
  }
  return JSON.parse(server) as TestServer;
}

async function withClient(
  url: string,
  use: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
