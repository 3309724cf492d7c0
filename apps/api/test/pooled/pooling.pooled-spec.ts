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
import { POOL_SIZE } from '../support/pgbouncer.js';
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

  /** Each transaction keeps a session of the server, so that the next one gets another. */
  async function inTransactions<T>(
    count: number,
    use: (clients: readonly pg.Client[]) => Promise<T>,
  ): Promise<T> {
    const clients: pg.Client[] = [];
    try {
      while (clients.length < count) {
        const client = new pg.Client({ connectionString: pooledUrl });
        clients.push(client);
        await client.connect();
        await client.query('BEGIN');
      }
      return await use(clients);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  }

  /** What each session holds that the pooler has for the API. */
  const settingsOfSessions = async () =>
    inTransactions(await countSessions(), async (clients) => {
      const answers = await Promise.all(clients.map((client) => client.query<object>(SESSION)));
      return answers.flatMap(({ rows }) => rows);
    });

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

  describe('the API', () => {
    let rind: TestApp;
    let token: string;

    beforeAll(async () => {
      rind = await TestApp.start({ database, env: { LOG_LEVEL: 'fatal' } });
      token = (await rind.signUp()).accessToken;
    });
    afterAll(() => rind.stop());

    const push = (id: string) => {
      const project = { id, name: 'A', created_at: 1, updated_at: 1 };
      const body = { changes: { projects: { created: [project] } }, lastPulledAt: null };
      return rind.request('POST', '/sync/push', { token, body });
    };

    test('leaves nothing of its own on the sessions that it shares', async () => {
      expect((await push('a')).status).toBe(200);
      expect((await rind.request('GET', '/sync/pull', { token })).status).toBe(200);
      expect((await rind.request('GET', '/users/me/export', { token })).status).toBe(200);
      const left = await settingsOfSessions();
      expect(left.length).toBeGreaterThan(0);
      for (const one of left)
        expect(one).toEqual({ settings: null, statements: null, locks: null, channels: null });
    });

    test('answers 503 while the pooler has no session to spare, and goes on after that', async () => {
      const answers = await inTransactions(POOL_SIZE, () =>
        Promise.all([
          push('b'),
          rind.request('GET', '/sync/pull', { token }),
          rind.request('PATCH', '/users/me', { token, body: { displayName: 'B' } }),
          rind.request('GET', '/users/me/export', { token }),
        ]),
      );
      const refusal = [503, 'service_unavailable', expect.stringMatching(/^\d+$/)];
      expect(
        answers.map(({ status, body, headers }) => [status, body.code, headers.get('retry-after')]),
      ).toEqual(answers.map(() => refusal));
      expect((await push('c')).status).toBe(200);
    });
  });
});
