import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { databaseUrlFrom, findDatabaseUrl, howToNameDatabase } from '../database-url.ts';
import { createMigration } from './create.ts';
import { deployMigrations } from './deploy.ts';
import { databaseDrift, schemaDrift } from './drift.ts';
import { MigrateError, describeError } from './errors.ts';
import type { MigrationState } from './history.ts';
import { resolveMigration } from './resolve.ts';
import { migrationStatus } from './status.ts';
import { withThrowawayServer } from './throwaway-server.ts';

const help = `Migrations of the database, with Prisma's schema engine and its _prisma_migrations table.

  pnpm db:deploy                    apply pending migrations; creates the database if there is none
  pnpm db:status                    list migrations and their state; exit 1 unless all are applied
  pnpm db:create <name>             write the migration from the existing ones to schema.prisma
        --allow-empty               write it even if nothing changed, for SQL by hand
  pnpm db:drift                     compare migrations with schema.prisma, and the database of
                                    DATABASE_URL, if set, with the migrations; exit 1 on a difference
        --schema-only               leave the database of DATABASE_URL alone
  pnpm db:resolve                   record what became of a migration that failed
        --rolled-back <name>        nothing of it remains: the next deploy runs it again
        --applied <name>            it was completed by hand
  --help                            this text

Environment (also read from .env):
  DATABASE_URL          postgresql://user:password@host:5432/database?schema=public&sslmode=verify-full
  DATABASE_DIRECT_URL   used instead if set: the server itself when DATABASE_URL is a pooler
  RIND_DATA_DIR         where a running npm start keeps the address of its database, which is
                        used when neither is set; by default .data
  TEST_DATABASE_URL     server for the throw-away databases of create and drift; otherwise that of
                        DATABASE_URL, or an embedded PostgreSQL when neither is set
`;

const env = process.env;
const print = (message: string): void => console.log(message);

/** Each command returns its exit code. */
const commands: Record<string, (args: string[]) => Promise<number>> = {
  deploy,
  status,
  create,
  drift,
  resolve,
};

async function deploy(args: string[]): Promise<number> {
  parseArgs({ args });
  const { applied } = await deployMigrations({
    databaseUrl: requireDatabaseUrl(),
    onProgress: print,
  });
  print(applied.length === 0 ? 'Nothing to apply.' : `Applied ${count(applied.length)}.`);
  return 0;
}

const stateNotes: Record<MigrationState, string> = {
  applied: 'applied',
  edited: 'EDITED after it was applied: undo the edit, and make a new migration instead',
  unknown: 'UNKNOWN here but applied there: the database is ahead of this checkout',
  pending: 'pending: pnpm db:deploy applies it',
  failed: 'FAILED: pnpm db:deploy says what to do',
  interrupted: 'running now, or cut off: pnpm db:deploy waits for it or runs it again',
};

async function status(args: string[]): Promise<number> {
  parseArgs({ args });
  const { migrations, upToDate } = await migrationStatus({ databaseUrl: requireDatabaseUrl() });
  for (const { name, state, finishedAt } of migrations) {
    print(`${name}  ${stateNotes[state]}${finishedAt ? ` (${finishedAt.toISOString()})` : ''}`);
  }
  print(upToDate ? 'Up to date.' : 'Not up to date.');
  return upToDate ? 0 : 1;
}

async function create(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { 'allow-empty': { type: 'boolean', default: false } },
  });
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0) {
    throw new MigrateError('Give the migration one name: pnpm db:create add_due_date');
  }
  const created = await withThrowawayServer({ env, onProgress: print }, (serverUrl) =>
    createMigration({ serverUrl, name, allowEmpty: values['allow-empty'] }),
  );
  if (created === null) {
    print('Nothing to do: the migrations already lead to schema.prisma.');
    return 0;
  }
  print(`Wrote ${path.relative(process.cwd(), created.file)}. Read it, then run pnpm db:deploy.`);
  if (/\bDROP (TABLE|COLUMN)\b/.test(created.sql)) {
    print('It drops a table or a column with all that is in it: a rename looks like this, too.');
  }
  return 0;
}

async function drift(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { 'schema-only': { type: 'boolean', default: false } },
  });
  const { DATABASE_URL: _url, DATABASE_DIRECT_URL: _directUrl, ...envWithoutDatabase } = env;
  const serverEnv = values['schema-only'] ? envWithoutDatabase : env;
  const differences = [
    report(
      'The migrations lead to schema.prisma.',
      'schema.prisma differs from what the migrations make. Missing (pnpm db:create writes it):',
      await withThrowawayServer({ env: serverEnv, onProgress: print }, (serverUrl) =>
        schemaDrift({ serverUrl }),
      ),
    ),
  ];
  const databaseUrl = databaseUrlFrom(serverEnv);
  if (databaseUrl !== undefined) {
    differences.push(
      report(
        'The database is what the migrations make.',
        'The database differs from what the migrations make. This SQL would lead back:',
        await databaseDrift({ databaseUrl }),
      ),
    );
  }
  return differences.includes(true) ? 1 : 0;
}

function report(agreement: string, difference: string, sql: string | null): boolean {
  print(sql === null ? agreement : `${difference}\n\n${sql}`);
  return sql !== null;
}

async function resolve(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { applied: { type: 'string' }, 'rolled-back': { type: 'string' } },
  });
  const { applied, 'rolled-back': rolledBack } = values;
  const name = applied ?? rolledBack;
  if (name === undefined || (applied !== undefined && rolledBack !== undefined)) {
    throw new MigrateError('Give either --rolled-back <name> or --applied <name>.');
  }
  const outcome = applied === undefined ? 'rolled-back' : 'applied';
  const databaseUrl = requireDatabaseUrl();
  await resolveMigration({ databaseUrl, name, outcome, onProgress: print });
  print(`Marked ${name} as ${outcome}.`);
  return 0;
}

function requireDatabaseUrl(): string {
  const databaseUrl = findDatabaseUrl(env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  return databaseUrl;
}

function count(migrations: number): string {
  return migrations === 1 ? '1 migration' : `${migrations} migrations`;
}

async function main([name = '--help', ...args]: string[]): Promise<number> {
  if (['--help', '-h', 'help'].includes(name) || args.includes('--help') || args.includes('-h')) {
    print(help);
    return 0;
  }
  const command = commands[name];
  if (command === undefined) {
    throw new MigrateError(`There is no command "${name}": --help lists them.`);
  }
  return command(args);
}

const envFile = path.resolve(import.meta.dirname, '../../.env');
if (existsSync(envFile)) {
  process.loadEnvFile(envFile);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
