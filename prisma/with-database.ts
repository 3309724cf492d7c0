import { findDatabaseUrl, howToNameDatabase } from './database-url.ts';
import { MigrateError } from './migrate/errors.ts';

/** Runs `use` with the address of the database; a checkout may have to start it first. */
export type WithDatabase = <T>(
  use: (databaseUrl: string) => Promise<T>,
  onProgress: (message: string) => void,
) => Promise<T>;

export const databaseOfEnvironment: WithDatabase = async (use) => {
  const databaseUrl = findDatabaseUrl(process.env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  return use(databaseUrl);
};
