import { randomUUID } from 'node:crypto';
import { findDatabaseUrl, howToNameDatabase } from '@rind/database/database-url';
import { MigrateError } from '@rind/database/migrate/errors';
import { migrationStatus } from '@rind/database/migrate/status';
import { createApp } from './create-app.js';
import { loadConfig } from './platform/config/config.js';

/**
 * For a command that uses services of the API, on the database of the environment or of a running
 * `npm start`. Nothing else of the environment counts.
 * @throws MigrateError when the database cannot be used
 */
export async function createCommandApp(env: NodeJS.ProcessEnv) {
  const databaseUrl = findDatabaseUrl(env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  // Prisma would name neither server nor database.
  const { migrations } = await migrationStatus({ databaseUrl });
  if (migrations.every(({ state }) => state === 'pending')) {
    throw new MigrateError(
      'This database has no tables of Rind: start the API first, which makes them.',
    );
  }
  const config = loadConfig({
    // Commands give tokens to nobody, so that any secret serves.
    JWT_SECRET: randomUUID(),
    LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
  });
  return createApp(config);
}
