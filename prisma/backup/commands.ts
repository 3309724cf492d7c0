import { parseArgs } from 'node:util';
import { findDatabaseUrl, howToNameDatabase } from '../database-url.ts';
import { MigrateError, describeError } from '../migrate/errors.ts';
import { backUp } from './back-up.ts';
import { type BackupOutput, FileOutput, StreamOutput } from './backup-file.ts';
import type { BackupHeader } from './format.ts';
import { type Progress, StreamProgress, megabytes } from './progress.ts';
import { verifyBackup } from './read-backup.ts';
import { restoreBackup } from './restore.ts';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const environment = `In the image these are node dist/backup.js and node dist/restore.js.

Environment (also read from .env):
  DATABASE_URL          postgresql://user:password@host:5432/database?schema=public&sslmode=verify-full
  DATABASE_DIRECT_URL   used instead if set: the server itself when DATABASE_URL is a pooler
  RIND_DATA_DIR         where npm start keeps its database, which is used when neither is set and
                        started if it does not run; by default .data
`;

const backupHelp = `Copies everything to one file, as it is at one moment, while the API runs. Keep the file as you keep
the database: it holds everybody's data. See docs/backups.md.

  npm run db:backup -- FILE             write the file; - is standard output, for a pipeline (npm run -s)
        --force                         replace a file of that name
  npm run db:backup -- --verify FILE    read the file and check every sum in it; needs no database
  --help                                this text

${environment}`;

const restoreHelp = `Makes the database what it was when the backup was made, then moves it to the schema of this
version. Stop the API before. A file that is damaged changes nothing, nor does anything that fails.
See docs/backups.md.

  npm run db:restore -- FILE            into an empty database, which is created if there is none
        --replace                       or in the place of what is in the database, which is lost
  --help                                this text

${environment}`;

/** Runs `use` with the address of the database; a checkout may have to start it first. */
export type WithDatabase = <T>(
  use: (databaseUrl: string) => Promise<T>,
  onProgress: (message: string) => void,
) => Promise<T>;

interface Program {
  version: string;
  withDatabase: WithDatabase;
}

interface Context extends Program {
  progress: Progress;
}

export const databaseOfEnvironment: WithDatabase = async (use) => {
  const databaseUrl = findDatabaseUrl(process.env);
  if (databaseUrl === undefined) throw new MigrateError(howToNameDatabase);
  return use(databaseUrl);
};

/** Sets the exit code. */
export const runBackup = (args: string[], program: Program): Promise<void> =>
  run(backupHelp, args, (progress) => backup(args, { progress, ...program }));

/** Sets the exit code. */
export const runRestore = (args: string[], program: Program): Promise<void> =>
  run(restoreHelp, args, (progress) => restore(args, { progress, ...program }));

async function run(
  help: string,
  args: string[],
  command: (progress: Progress) => Promise<void>,
): Promise<void> {
  if (args.length === 0 || args.includes('--help') || args.includes('-h')) {
    console.log(help);
    return;
  }
  try {
    await command(new StreamProgress(process.stderr));
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  }
}

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
      return unlessStopped(output, () => backUp({ databaseUrl, version, output, progress }));
    },
    (message) => progress.say(message),
  );
  progress.say(
    `Wrote ${summary.rows} rows to ${file}, ${megabytes(summary.bytes)}. Keep it secret.`,
  );
}

/** Ctrl-C, and a container that is stopped, leave no unfinished file behind. */
async function unlessStopped<T>(output: BackupOutput, use: () => Promise<T>): Promise<T> {
  const stop = (signal: NodeJS.Signals): void => {
    ignoreSignals();
    void output.abandon().finally(() => process.kill(process.pid, signal));
  };
  const ignoreSignals = (): void => {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  try {
    return await use();
  } finally {
    ignoreSignals();
  }
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
  if (file === undefined || others.length > 0)
    throw new MigrateError('Give the name of one file: --help shows how.');
  return file;
}
