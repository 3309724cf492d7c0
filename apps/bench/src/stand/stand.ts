import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { API_ENTRY } from '../../../../scripts/build.ts';
import { loadConfig } from '../../../api/dist/platform/config/config.js';
import { type BenchDatabase, createDatabase, startServer } from './database.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';
import type { Teardown } from './teardown.ts';

const PROBED_ENTRY = path.join(import.meta.dirname, 'api-with-probes.ts');
const BARE_SOCKETS_ENTRY = path.join(import.meta.dirname, 'bare-sockets.ts');
const NAIVE_ENTRY = path.join(import.meta.dirname, '../../naive/dist/main.js');

/** Limits are counted, as in production, and never reached. */
const MANY = '1000000';
const API_SETTINGS = {
  RATE_LIMIT_ANON_PER_MINUTE: MANY,
  RATE_LIMIT_USER_PER_MINUTE: MANY,
  RATE_LIMIT_SYNC_PER_MINUTE: MANY,
  RATE_LIMIT_AUTH_PER_MINUTE: MANY,
  RATE_LIMIT_HANDSHAKE_PER_MINUTE: MANY,
  SYNC_STRICT: 'false',
  FRONTEND_URL: 'https://app.example.com',
  // Nobody listens there, and no mail leaves.
  RESEND_BASE_URL: 'http://127.0.0.1:1',
  RESEND_API_KEY: 'none',
  EMAIL_FROM: 'mail@example.com',
  // Accounts are made by SQL, and no mail leaves here.
  EMAIL_VERIFICATION_REQUIRED: 'false',
  // Longer than a run, so that no token expires in the middle.
  JWT_EXPIRES_IN: '1h',
};

/** Where databases and servers come from. All of them end with the run; their callers may end them before. */
export class Stand {
  private readonly serverUrl: string;
  private readonly teardown: Teardown;
  /** One for all servers, so that each takes the same tokens. */
  private readonly jwtSecret = randomBytes(32).toString('hex');
  private readonly encryptionKey = randomBytes(32).toString('hex');

  private constructor(serverUrl: string, teardown: Teardown) {
    this.serverUrl = serverUrl;
    this.teardown = teardown;
  }

  /** On the server with this URL, or on an embedded one. */
  static async setUp(serverUrl: string | undefined, teardown: Teardown): Promise<Stand> {
    return new Stand(serverUrl ?? (await startServer(teardown)), teardown);
  }

  createDatabase(): Promise<BenchDatabase> {
    return createDatabase(this.serverUrl, this.teardown);
  }

  startApi(database: BenchDatabase, settings: Record<string, string> = {}): Promise<ServerProcess> {
    return this.startApiFrom(API_ENTRY, database, settings);
  }

  startApiWithProbes(database: BenchDatabase): Promise<ServerProcess> {
    return this.startApiFrom(PROBED_ENTRY, database);
  }

  startNaive(database: BenchDatabase): Promise<ServerProcess> {
    const secrets = this.secrets(database);
    const { poolSize } = loadConfig(secrets).database;
    const options = {
      name: 'The naive backend',
      entry: NAIVE_ENTRY,
      env: { ...secrets, DATABASE_POOL_SIZE: String(poolSize) },
      readyPath: '/ready',
    };
    return startServerProcess(options, this.teardown);
  }

  private startApiFrom(
    entry: string,
    database: BenchDatabase,
    settings: Record<string, string> = {},
  ): Promise<ServerProcess> {
    const options = {
      name: 'The API',
      entry,
      env: { ...this.secrets(database), ...API_SETTINGS, ...settings },
      readyPath: '/api/v1/health/ready',
    };
    return startServerProcess(options, this.teardown);
  }

  startBareSockets({ url }: BenchDatabase): Promise<ServerProcess> {
    const options = {
      name: 'The bare Socket.IO server',
      entry: BARE_SOCKETS_ENTRY,
      env: { DATABASE_URL: url },
      readyPath: '/ready',
    };
    return startServerProcess(options, this.teardown);
  }

  private secrets({ url }: BenchDatabase) {
    return { DATABASE_URL: url, JWT_SECRET: this.jwtSecret, ENCRYPTION_KEY: this.encryptionKey };
  }
}
