import { type AuthResult, type Problem, type SyncTable, syncTables } from '@rind/contracts';
import { createClient, RindApi } from '@rind/sdk';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import pg from 'pg';
import { createApp } from '../../src/create-app.js';
import { loadConfig } from '../../src/platform/config/config.js';
import { firstTables } from './first-tables.js';
import { untilJobsDone } from './jobs.js';
import { Outbox, type SentMail } from './outbox.js';
import {
  createTestDatabase,
  databaseEnvironment,
  dataDirectoryOf,
  type TestDatabase,
} from './test-database.js';
import { witness } from './witness.js';

/** Settings of most tests: quiet, and limits that no test reaches by accident. */
const environment = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'error',
  // On a busy machine any query is slow at times.
  SLOW_QUERY_MS: '0',
  RATE_LIMIT_ANON_PER_MINUTE: '100000',
  RATE_LIMIT_USER_PER_MINUTE: '100000',
  RATE_LIMIT_SYNC_PER_MINUTE: '100000',
  RATE_LIMIT_AUTH_PER_MINUTE: '100000',
};

/** A signed-in user, with tokens for headers. */
export interface Account extends AuthResult {
  accessToken: string;
  refreshToken: string;
  password: string;
  /** The user's id. */
  id: string;
}

export interface TestAppOptions {
  /** Environment variables beside those of every test. */
  env?: Record<string, string>;
  /** A database that exists, for a second instance beside another; else one is made and dropped. */
  database?: TestDatabase;
  /** The registry of synced tables, by default those that tests know; those that the migrations do not make are created. */
  tables?: readonly SyncTable[];
}

/** The whole API, listening on a free port, with a database of its own. */
export class TestApp {
  private accounts = 0;

  private constructor(
    readonly app: NestFastifyApplication,
    /** Origin: `http://127.0.0.1:<port>`. */
    readonly url: string,
    /** Calls the API through the SDK. */
    readonly api: RindApi,
    /** Reads and changes the database behind the API's back. */
    readonly sql: pg.Pool,
    readonly database: TestDatabase,
    private readonly ownsDatabase: boolean,
  ) {}

  static async start({
    env = {},
    database,
    tables = firstTables,
  }: TestAppOptions = {}): Promise<TestApp> {
    const ownDatabase = database ?? (await createTestDatabase());
    await createTables(ownDatabase.url, tables);
    const settings = {
      ...environment,
      ...databaseEnvironment(ownDatabase),
      RIND_DATA_DIR: dataDirectoryOf(ownDatabase.url),
      ...env,
    };
    const config = loadConfig(settings);
    const app = await createApp(config, tables, witness.logger(config));
    witness.seeEnvironment(settings);
    witness.seeTraffic(app);
    await app.listen(0, '127.0.0.1');
    const url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
    const api = new RindApi({ client: createClient({ baseUrl: url }) });
    const sql = new pg.Pool({ connectionString: ownDatabase.url, max: 5 });
    // Connections that a test ends on purpose.
    sql.on('error', () => undefined);
    return new TestApp(app, url, api, sql, ownDatabase, database === undefined);
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.sql.end();
    witness.tellProblems();
    if (this.ownsDatabase) await this.database.drop();
  }

  /** The mails that were sent by now, or are caused by what was answered by now. */
  async mailsTo(address: string): Promise<SentMail[]> {
    await untilJobsDone(this.sql);
    return new Outbox(this.database.url).mailsTo(address);
  }

  /** Registers a user under an address of its own. */
  async signUp(options: { deviceId?: string } = {}): Promise<Account> {
    this.accounts += 1;
    const password = 'correct horse battery';
    const { data } = await this.api.register({
      body: {
        email: `user-${this.accounts}@example.com`,
        password,
        displayName: `User ${this.accounts}`,
        ...(options.deviceId && { device: { id: options.deviceId } }),
      },
      throwOnError: true,
    });
    const account = data as AuthResult & { accessToken: string; refreshToken: string };
    return { ...account, password, id: account.user.id };
  }

  /** One request, answered as status, headers and parsed body: a problem unless another type is named. */
  async request<Body = Problem>(
    method: string,
    path: string,
    options: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; headers: Headers; body: Body }> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        ...(options.token && { authorization: `Bearer ${options.token}` }),
        ...(options.body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body !== undefined && {
        body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body),
      }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? null : JSON.parse(text)) as Body,
    };
  }
}

const sqlTypes = { string: 'text', number: 'float8', boolean: 'boolean', json: 'text' } as const;

/** What a migration for the table would do, but for those that exist. */
async function createTables(url: string, tables: readonly SyncTable[]): Promise<void> {
  const missing = tables.filter((table) => !syncTables.includes(table));
  if (missing.length === 0) return;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const { name, columns } of missing) {
    const found = await client.query('SELECT WHERE to_regclass($1) IS NOT NULL', [name]);
    // Made by a migration, whose faults must stay to be found, or by an instance before.
    if (found.rowCount) continue;
    const definitions = Object.entries(columns).map(
      ([column, { type, optional }]) =>
        `"${column}" ${sqlTypes[type]} ${optional ? '' : 'NOT NULL'}`,
    );
    await client.query(`CREATE TABLE "${name}" (
      user_id uuid NOT NULL REFERENCES sync_clocks ON DELETE CASCADE, id text COLLATE "C" NOT NULL,
      ${definitions.join(', ')}, version bigint NOT NULL, is_deleted boolean NOT NULL DEFAULT false,
      PRIMARY KEY (user_id, id));
      CREATE INDEX "${name}_version" ON "${name}" (user_id, version)`);
  }
  await client.end();
}
