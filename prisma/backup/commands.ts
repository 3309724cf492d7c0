import { parseArgs } from 'node:util';
import { databaseEnvironment } from '../database-url.ts';
import { MigrateError, UsageError } from '../migrate/errors.ts';
import { runProgram } from '../program.ts';
import type { WithDatabase } from '../with-database.ts';
import { backUp } from './back-up.ts';
import { FileOutput, StreamOutput } from './backup-file.ts';
import type { BackupHeader } from './format.ts';
import { type Progress, StreamProgress, megabytes } from './progress.ts';
import { verifyBackup } from './read-backup.ts';
import { restoreBackup } from './restore.ts';

const backupHelp = `Copies everything to one file, as it is at one moment, while the API runs. Keep the file as you keep
the database: it holds everybody's data. See docs/backups.md.

  npm run db:backup -- FILE             write the file; - is standard output, for a pipeline (npm run -s)
        --force                         replace a file of that name
  npm run db:backup -- --verify FILE    read the file and check every sum in it; needs no database
  --help                                this text

In the image these are node dist/backup.js and node dist/restore.js.

${databaseEnvironment}`;

const restoreHelp = `Makes the database what it was when the backup was made, then moves it to the schema of this
version. Stop the API before. A file that is damaged changes nothing, nor does anything that fails.
See docs/backups.md.

  npm run db:restore -- FILE            into an empty database, which is created if there is none
        --replace                       or in the place of what is in the database, which is lost
  --help                                this text

In the image these are node dist/backup.js and node dist/restore.js.

${databaseEnvironment}`;

interface Setting {
  version: string;
  withDatabase: WithDatabase;
}

interface Context extends Setting {
  progress: Progress;
}

/** Sets the exit code. */
export const runBackup = (args: string[], setting: Setting): Promise<void> =>
  runProgram(args, {
    help: backupHelp,
    interrupted: 'Interrupted: nothing was written.',
    run: () => backup(args, { progress: new StreamProgress(process.stderr), ...setting }),
  });

/** Sets the exit code. */
export const runRestore = (args: string[], setting: Setting): Promise<void> =>
  runProgram(args, {
    help: restoreHelp,
    interrupted:
      'Interrupted: PostgreSQL rolls back what was begun, and the rows are as they were. Run it again.',
    run: () => restore(args, { progress: new StreamProgress(process.stderr), ...setting }),
  });

async function backup(args: string[], { version, progress, withDatabase }: Context): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      force: { type: 'boolean', default: false },
      verify: { type: 'boolean', default: false },
    },
  });
  const file = oneFile(positionals);
  if (values.verify) return verify(file, progress);
  const summary = await withDatabase(
    async (databaseUrl) => {
      const output = await openOutput(file, values.force);
      return backUp({ databaseUrl, version, output, progress });
    },
    (message) => progress.say(message),
  );
  progress.say(
    `Wrote ${summary.rows} rows to ${file}, ${megabytes(summary.bytes)}. Keep it secret.`,
  );
}

async function openOutput(file: string, replace: boolean): Promise<FileOutput | StreamOutput> {
  if (file !== '-') return FileOutput.open(file, { replace });
  if (process.stdout.isTTY)
    throw new MigrateError('Standard output is a terminal: send it to a file or a program.');
  return new StreamOutput(process.stdout);
}

async function verify(file: string, progress: Progress): Promise<void> {
  const { header } = await verifyBackup(file, progress);
  progress.say(`${file} is whole. ${describe(header)}`);
}

async function restore(args: string[], { progress, withDatabase }: Context): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { replace: { type: 'boolean', default: false } },
  });
  const file = oneFile(positionals);
  const { header, rows, clocks, sessions, jobs } = await withDatabase(
    (databaseUrl) => restoreBackup({ databaseUrl, file, replace: values.replace, progress }),
    (message) => progress.say(message),
  );
  progress.say(
    [
      `Restored ${rows} rows. ${describe(header)}`,
      `Users whose devices go on from where they are: ${clocks ?? 0}. Devices that stay signed in: ${sessions ?? 0}.`,
      `Jobs put back: ${jobs.restored}; left out, since they are older than a day: ${jobs.leftOut}.`,
      'Now start the API.',
    ].join('\n'),
  );
}

function describe({ createdAt, version, postgres, migrations, tables }: BackupHeader): string {
  const last = migrations.at(-1)?.name;
  return `Backup of ${createdAt} by version ${version} from PostgreSQL ${postgres}: ${tables.length} tables up to ${last}.`;
}

function oneFile(positionals: string[]): string {
  const [file, ...others] = positionals;
  // An empty one is a variable that nobody has set.
  if (!file || others.length > 0)
    throw new UsageError('Give the name of one file: --help shows how.');
  return file;
}
