import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { databaseUrlFrom } from '../database-url.ts';

export interface ThrowawayServerOptions {
  env: NodeJS.ProcessEnv;
  onProgress: (message: string) => void;
}

/**
 * Runs `use` with the URL of a server on which databases may be created and dropped: that of
 * TEST_DATABASE_URL or DATABASE_URL, else an embedded one that lives as long as the call.
 */
export async function withThrowawayServer<T>(
  { env, onProgress }: ThrowawayServerOptions,
  use: (serverUrl: string) => Promise<T>,
): Promise<T> {
  const given = env['TEST_DATABASE_URL'] || databaseUrlFrom(env);
  if (given !== undefined) {
    return use(given);
  }
  // Loaded only here: a production image has the migrate tool and no embedded PostgreSQL.
  const { startEmbeddedPostgres } = await import('../../scripts/embedded-postgres.ts');
  const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-migrate-'));
  onProgress('Starting a PostgreSQL to throw away.');
  const server = await startEmbeddedPostgres({ dataDir, temporary: true });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
