import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { API_ENTRY } from '../../../../scripts/build.ts';
import { loadConfig } from '../../../api/dist/platform/config/config.js';
import { createAccounts } from '../accounts.ts';
import type { Bench } from '../cases/case.ts';
import { HttpContestant } from '../contestants/http-contestant.ts';
import { Limit } from '../contestants/limit.ts';
import type { Scale } from '../scale.ts';
import { createDatabase } from './database.ts';
import { startServerProcess } from './server-process.ts';
import type { Teardown } from './teardown.ts';

const NAIVE_ENTRY = path.join(import.meta.dirname, '../contestants/naive-server.ts');

/** Limits are counted, as in production, and never reached. */
const MANY = '1000000';
const RATE_LIMITS = {
  RATE_LIMIT_ANON_PER_MINUTE: MANY,
  RATE_LIMIT_USER_PER_MINUTE: MANY,
  RATE_LIMIT_SYNC_PER_MINUTE: MANY,
  RATE_LIMIT_AUTH_PER_MINUTE: MANY,
};

interface StandOptions {
  scale: Scale;
  databaseUrl: string | undefined;
  onProgress: (message: string) => void;
}

/** Database, servers and accounts, ready to be measured. */
export async function setUp(
  { scale, databaseUrl, onProgress }: StandOptions,
  teardown: Teardown,
): Promise<Bench> {
  onProgress('Starting PostgreSQL');
  const database = await createDatabase(databaseUrl, teardown);
  const secrets = { DATABASE_URL: database.url, JWT_SECRET: randomBytes(32).toString('hex') };
  onProgress('Starting the API and the naive backend');
  const api = await startServerProcess(
    {
      name: 'The API',
      entry: API_ENTRY,
      env: { ...secrets, ...RATE_LIMITS, SYNC_STRICT: 'false', JWT_EXPIRES_IN: '1h' },
      readyPath: '/api/v1/health/ready',
    },
    teardown,
  );
  const { poolSize } = loadConfig(secrets).database;
  const naive = await startServerProcess(
    {
      name: 'The naive backend',
      entry: NAIVE_ENTRY,
      env: { ...secrets, DATABASE_POOL_SIZE: String(poolSize) },
      readyPath: '/ready',
    },
    teardown,
  );
  onProgress(`Seeding ${scale.accounts} accounts`);
  const accounts = await createAccounts(database.admin, api, scale);
  await Limit.createFunctions(database.admin);
  return {
    scale,
    admin: database.admin,
    accounts,
    contestants: [
      new Limit(database.url),
      new HttpContestant('api', api, '/api/v1'),
      new HttpContestant('naive', naive, ''),
    ],
  };
}
