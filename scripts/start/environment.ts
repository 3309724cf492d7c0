import { ExpectedError } from '../expected-error.ts';

/** Stands for the address of the embedded database, which has none before it runs. */
const EMBEDDED = 'postgresql://localhost/rind';

/**
 * What the API will say to its environment, before anything slow is started for it.
 * @throws ExpectedError with all problems at once
 */
export async function checkEnvironment(env: NodeJS.ProcessEnv): Promise<{ docsEnabled: boolean }> {
  // Built only now.
  const { ConfigError, loadConfig } = await import('../../apps/api/dist/platform/config/config.js');
  try {
    return loadConfig({ ...env, DATABASE_URL: env['DATABASE_URL'] || EMBEDDED });
  } catch (error) {
    throw error instanceof ConfigError ? new ExpectedError(error.message, { cause: error }) : error;
  }
}
