import { existsSync } from 'node:fs';
import path from 'node:path';
import { findDatabaseUrl, howToNameDatabase } from './database-url.ts';
import { MigrateError } from './migrate/errors.ts';
import type { WithDatabase } from './with-database.ts';

const root = path.join(import.meta.dirname, '..');
const env = process.env;

/** The settings of the checkout; those of the environment win. */
export function loadEnvFile(): void {
  const file = path.join(root, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
}

/** When `npm start` is stopped, as it has to be for a restore, its database is started for as long as it takes. */
export const databaseOfCheckout: WithDatabase = async (use, onProgress) => {
  const found = findDatabaseUrl(env);
  if (found !== undefined) return use(found);
  const chosen = env['RIND_DATA_DIR'];
  const dataDir = path.resolve(root, chosen || '.data');
  if (!existsSync(dataDir)) throw new MigrateError(howToNameDatabase);
  const { startEmbeddedPostgres } = await import('../scripts/embedded-postgres.ts');
  onProgress(`Starting the database in ${dataDir}.`);
  const server = await startEmbeddedPostgres({ dataDir, relocatable: !chosen, onProgress });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
};
