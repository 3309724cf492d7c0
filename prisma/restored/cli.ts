import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findDatabaseUrl, howToNameDatabase } from '../database-url.ts';
import { MigrateError, describeError } from '../migrate/errors.ts';
import { markRestored } from './mark-restored.ts';

const help = `Tells Rind that a backup was put back into its database, so that devices lose and miss nothing.

  npm run db:mark-restored

Needed after a copy of the data only, or of the server's files or disk, was put back: nothing shows it. Put back in
other ways, and by db:restore, a backup is noticed without. Stop the API before a copy of rows only is put back, run
this when the copy is complete, and start the API then. Once too often does no harm.

Moves the clock of each user above every version that devices may have been given, and keeps what was lost between
as a row of sync_lost_intervals.

Environment (also read from .env):
  DATABASE_URL          the database
  DATABASE_DIRECT_URL   used instead if set: the server itself when DATABASE_URL is a pooler
  RIND_DATA_DIR         where a running npm start keeps the address of its database, which is
                        used when neither is set; by default .data
`;

async function main(args: string[]): Promise<void> {
  if (args.some((word) => ['--help', '-h', 'help'].includes(word))) {
    console.log(help);
    return;
  }
  parseArgs({ args });
  const databaseUrl = findDatabaseUrl(process.env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  const clocks = await markRestored(databaseUrl);
  console.log(
    `Marked as restored: ${clocks === 1 ? '1 clock was' : `${clocks} clocks were`} moved, one for each user.`,
  );
}

const envFile = path.resolve(import.meta.dirname, '../../.env');
if (existsSync(envFile)) process.loadEnvFile(envFile);

try {
  await main(process.argv.slice(2).filter((word) => word !== '--'));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
