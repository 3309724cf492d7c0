import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { sharesSessions } from '../../../../prisma/shared-sessions.ts';
import { ApiProcess } from '../support/api-process.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../support/test-database.js';
import { TestApp } from '../support/test-app.js';

/** PgBouncer itself carries over the settings left out here, to whomever the session serves next. */
const SESSION = `SELECT
  (SELECT json_object_agg(name, setting) FROM pg_settings
   WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding')) AS settings,
  (SELECT json_agg(name) FROM pg_prepared_statements) AS statements,
  (SELECT json_agg(objid) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
  (SELECT json_agg(channel) FROM pg_listening_channels() AS channel) AS channels`;

describe('behind PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let pooledUrl: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    pooledUrl = database.pooledUrl!;
  });
  afterAll(() => database.drop());

  async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }

  /** What each session holds that the pooler has for the API. */
  async function settingsOfSessions(): Promise<object[]> {
    const clients: pg.Client[] = [];
    try {
      // Each transaction keeps a session, so that the next one gets another.
      for (let count = await countSessions(); count > 0; count -= 1) {
        const client = new pg.Client({ connectionString: pooledUrl });
        clients.push(client);
        await client.connect();
        await client.query('BEGIN');
      }
      const answers = await Promise.all(clients.map((client) => client.query<object>(SESSION)));
      return answers.flatMap(({ rows }) => rows);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  }

  const countSessions = () =>
    withClient(database.url, async (client) => {
      const { rows } = await client.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'rind-api'`,
      );
      return rows[0]!.count;
    });

  test('is noticed, and the server itself is not taken for it', async () => {
    const isShared = (url: string) => withClient(url, (client) => sharesSessions(client, url));
    expect([await isShared(pooledUrl), await isShared(database.url)]).toEqual([true, false]);
  });

  test('migrations are refused through it, and not through the server itself', async () => {
    await expect(deployMigrations({ databaseUrl: pooledUrl })).rejects.toThrow(
      /is a pooler in transaction mode.*DATABASE_DIRECT_URL/,
    );
    await expect(deployMigrations({ databaseUrl: database.url })).resolves.toEqual({ applied: [] });
  });

  test.each([
    {
      name: 'prepared statements on the pooled connections',
      wrong: { DATABASE_PREPARED_STATEMENTS: 'on' },
      says: /DATABASE_PREPARED_STATEMENTS: must be off/,
    },
    {
      name: 'no address of the server itself',
      wrong: { DATABASE_DIRECT_URL: '' },
      says: /DATABASE_DIRECT_URL: must lead to the server itself/,
    },
  ])('a start with $name is refused', async ({ wrong, says }) => {
    const environment = { ...databaseEnvironment(database), MIGRATE: 'off' };
    await expect(ApiProcess.start({ ...environment, ...wrong })).rejects.toThrow(says);
  });

  test('the API leaves nothing of its own on the sessions that it shares', async () => {
    const rind = await TestApp.start({ database });
    const account = await rind.signUp();
    const push = {
      changes: { projects: { created: [{ id: 'a', name: 'A', created_at: 1, updated_at: 1 }] } },
      lastPulledAt: null,
    };
    const token = account.accessToken;
    expect((await rind.request('POST', '/sync/push', { token, body: push })).status).toBe(200);
    expect((await rind.request('GET', '/sync/pull', { token })).status).toBe(200);
    expect((await rind.request('GET', '/users/me/export', { token })).status).toBe(200);
    await rind.stop();
    const left = await settingsOfSessions();
    expect(left.length).toBeGreaterThan(0);
    for (const one of left)
      expect(one).toEqual({ settings: null, statements: null, locks: null, channels: null });
  });
});
