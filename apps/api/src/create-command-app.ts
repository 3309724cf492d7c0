import { randomUUID } from 'node:crypto';
import { findDatabaseUrl, howToNameDatabase } from '@rind/database/database-url';
import { createApp } from './create-app.js';
import { loadConfig } from './platform/config/config.js';

/**
 * For a command that uses services of the API, on the database of the environment or of a running
 * `npm start`. Nothing else of the environment counts.
 */
export async function createCommandApp(env: NodeJS.ProcessEnv) {
  const databaseUrl = findDatabaseUrl(env);
  if (databaseUrl === undefined) throw new Error(howToNameDatabase);
  const config = loadConfig({
    // Commands give tokens to nobody, so that any secret serves.
    JWT_SECRET: randomUUID(),
    LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
  });
  return createApp(config);
}
