import type { AuthResult, Problem } from '@rind/contracts';
import { createClient, RindApi } from '@rind/sdk';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import pg from 'pg';
import { createApp } from '../../src/create-app.js';
import { loadConfig } from '../../src/platform/config/config.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';

/** Settings of most tests: quiet, and limits that no test reaches by accident. */
const environment = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'error',
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

  static async start({ env = {}, database }: TestAppOptions = {}): Promise<TestApp> {
    const ownDatabase = database ?? (await createTestDatabase());
    const app = await createApp(
      loadConfig({ ...environment, DATABASE_URL: ownDatabase.url, ...env }),
    );
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
    if (this.ownsDatabase) await this.database.drop();
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
    return { ...data, password, id: data.user.id } as Account;
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
