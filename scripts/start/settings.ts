import { dirname, join, resolve } from 'node:path';

import { ExpectedError } from '../expected-error.ts';

export const ROOT = dirname(dirname(import.meta.dirname));

const DEFAULT_PORT = '3000';

export interface Settings {
  port: number;
  dataDir: string;
  /** Somebody chose it with RIND_DATA_DIR, so nothing may be kept elsewhere in its stead. */
  dataDirIsChosen: boolean;
  /** Of a database that runs elsewhere; without it one is embedded. */
  databaseUrl: string | undefined;
}

/** An empty value, as `.env` files have them, counts as absent. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const chosenDataDir = env['RIND_DATA_DIR'] || undefined;
  return {
    port: parsePort(env['PORT'] || DEFAULT_PORT),
    dataDir: chosenDataDir ? resolve(ROOT, chosenDataDir) : join(ROOT, '.data'),
    dataDirIsChosen: chosenDataDir !== undefined,
    databaseUrl: env['DATABASE_URL'] || undefined,
  };
}

function parsePort(value: string): number {
  const port = Number(value);
  if (/^\d+$/.test(value) && port >= 1 && port <= 65_535) return port;
  throw new ExpectedError(`PORT must be a number from 1 to 65535, not "${value}".`);
}
