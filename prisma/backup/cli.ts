import { existsSync } from 'node:fs';
import path from 'node:path';
import api from '../../apps/api/package.json' with { type: 'json' };
import { findDatabaseUrl, howToNameDatabase } from '../database-url.ts';
import { MigrateError } from '../migrate/errors.ts';
import { type WithDatabase, runBackup, runRestore } from './commands.ts';

const root = path.join(import.meta.dirname, '../..');
const env = process.env;

/** When `npm start` is stopped, as it has to be for a restore, its database is started for as long as it takes. */
const databaseOfCheckout: WithDatabase = async (use, onProgress) => {
  const found = findDatabaseUrl(env);
  if (found !== undefined) return use(found);
  const chosen = env['RIND_DATA_DIR'];
  const dataDir = path.resolve(root, chosen || '.data');
  if (!existsSync(dataDir)) throw new MigrateError(howToNameDatabase);
  const { startEmbeddedPostgres } = await import('../../scripts/embedded-postgres.ts');
  onProgress(`Starting the database in ${dataDir}.`);
  const server = await startEmbeddedPostgres({ dataDir, relocatable: !chosen, onProgress });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
};

const envFile = path.join(root, '.env');
if (existsSync(envFile)) process.loadEnvFile(envFile);

const [command, ...args] = process.argv.slice(2);
await (command === 'restore' ? runRestore : runBackup)(args, {
  version: api.version,
  withDatabase: databaseOfCheckout,
});
