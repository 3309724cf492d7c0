import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { prismaDir } from './prisma-dir.ts';

/**
 * Migrations hold locks that belong to a session, which a pooler in transaction mode does not keep:
 * so the direct address comes first.
 */
export function databaseUrlFrom(env: NodeJS.ProcessEnv): string | undefined {
  return env['DATABASE_DIRECT_URL'] || env['DATABASE_URL'] || undefined;
}

/** The database that a command works on: that of the environment, else that of a running `npm start`. */
export function findDatabaseUrl(env: NodeJS.ProcessEnv): string | undefined {
  return databaseUrlFrom(env) ?? embeddedDatabaseUrl(env);
}

export const howToNameDatabase =
  'Set DATABASE_URL, for example to postgresql://rind:password@localhost:5432/rind. In a checkout, npm start brings a database.';

/** For the help of commands. The image has neither of the last two. */
export const databaseEnvironment = `Environment:
  DATABASE_URL          postgresql://user:password@host:5432/database?schema=public&sslmode=verify-full
  DATABASE_DIRECT_URL   used instead if set: the server itself when DATABASE_URL is a pooler
In a checkout also:
  .env                  sets what the environment does not
  RIND_DATA_DIR         where npm start keeps its database, which is used when neither is set; by default .data
`;

/** Where the API listens: as the environment says, else as a running `npm start` was told. */
export function findPort(env: NodeJS.ProcessEnv): number {
  const running = readDataFile(env, 'running.json');
  const state = running === undefined ? {} : (JSON.parse(running) as { port?: number });
  return Number(env['PORT']) || state.port || 3000;
}

function embeddedDatabaseUrl(env: NodeJS.ProcessEnv): string | undefined {
  return readDataFile(env, 'database-url');
}

function readDataFile(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const dataDir = env['RIND_DATA_DIR'] || path.join(prismaDir, '../.data');
  const file = path.join(dataDir, name);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}
