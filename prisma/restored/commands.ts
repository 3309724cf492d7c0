import { parseArgs } from 'node:util';
import { databaseEnvironment } from '../database-url.ts';
import { runProgram } from '../program.ts';
import type { WithDatabase } from '../with-database.ts';
import { markRestored } from './mark-restored.ts';

const help = `Tells Rind that a backup was put back into its database, so that devices lose and miss nothing.

  npm run db:mark-restored
  node dist/mark-restored.js       in the image

Needed after a copy of the data only, or of the server's files or disk, was put back: nothing shows it. Put back in
other ways, and by db:restore, a backup is noticed without. Stop the API before a copy of rows only is put back, run
this when the copy is complete, and start the API then. Once too often does no harm.

Moves the clock of each user above every version that devices may have been given, and keeps what was lost between
as a row of sync_lost_intervals.

${databaseEnvironment}`;

/** Sets the exit code. */
export async function runMarkRestored(words: string[], withDatabase: WithDatabase): Promise<void> {
  const args = words.filter((word) => word !== '--');
  await runProgram(args, {
    help,
    interrupted:
      'Interrupted: no clock was moved, unless it had just come to its end. Run it again.',
    run: async () => {
      parseArgs({ args });
      const clocks = await withDatabase(markRestored, (message) => console.error(message));
      console.log(
        `Marked as restored: ${clocks === 1 ? '1 clock was' : `${clocks} clocks were`} moved, one for each user.`,
      );
    },
  });
}
