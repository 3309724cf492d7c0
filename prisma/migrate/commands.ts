import { parseArgs } from 'node:util';
import { findDatabaseUrl, howToNameDatabase } from '../database-url.ts';
import { runProgram } from '../program.ts';
import { deployMigrations } from './deploy.ts';
import { MigrateError, UsageError } from './errors.ts';
import type { MigrationState } from './history.ts';
import { resolveMigration } from './resolve.ts';
import { migrationStatus } from './status.ts';

/** A command returns its exit code. */
type Command = (args: string[]) => Promise<number>;

export const print = (message: string): void => console.log(message);

/** What is done to a database in operation, in a checkout as in the image. */
export const operations = { deploy, status, resolve } satisfies Record<string, Command>;

/** Runs the command that the words name, and sets the exit code. */
export async function runCommand(
  commands: Record<string, Command>,
  help: string,
  [name = '--help', ...args]: string[],
): Promise<void> {
  await runProgram([name, ...args], {
    help,
    interrupted: 'Interrupted: PostgreSQL rolls back what was begun. Run it again.',
    run: async () => {
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      if (command === undefined) {
        throw new UsageError(`There is no command "${name}": --help lists them.`);
      }
      return command(args);
    },
  });
}

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
  pending: 'pending: the next deploy applies it',
  failed: 'FAILED: the next deploy says what to do',
  interrupted: 'running now, or cut off: the next deploy waits for it or runs it again',
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

async function resolve(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { applied: { type: 'string' }, 'rolled-back': { type: 'string' } },
  });
  const { applied, 'rolled-back': rolledBack } = values;
  const name = applied ?? rolledBack;
  if (name === undefined || (applied !== undefined && rolledBack !== undefined)) {
    throw new UsageError('Give either --rolled-back <name> or --applied <name>.');
  }
  const outcome = applied === undefined ? 'rolled-back' : 'applied';
  const databaseUrl = requireDatabaseUrl();
  await resolveMigration({ databaseUrl, name, outcome, onProgress: print });
  print(`Marked ${name} as ${outcome}.`);
  return 0;
}

function requireDatabaseUrl(): string {
  const databaseUrl = findDatabaseUrl(process.env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  return databaseUrl;
}

function count(migrations: number): string {
  return migrations === 1 ? '1 migration' : `${migrations} migrations`;
}
