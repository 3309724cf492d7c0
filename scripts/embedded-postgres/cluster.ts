import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ExpectedError } from '../expected-error.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';

/** The files of one embedded database, below its home directory. */
export interface ClusterPaths {
  /** PostgreSQL's own data directory. */
  data: string;
  passwordFile: string;
  logFile: string;
}

export function clusterPaths(home: string): ClusterPaths {
  return {
    data: join(home, 'postgres'),
    passwordFile: join(home, 'postgres-password'),
    logFile: join(home, 'postgres.log'),
  };
}

/** What PostgreSQL's programs get of the environment: no secrets, and messages that this code can read. */
export const SERVER_ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
};

export const ROLE = 'rind';
export const DATABASE = 'rind';

const HOST_BASED_AUTHENTICATION = 'host all all 127.0.0.1/32 scram-sha-256\n';

interface ClusterOptions {
  paths: ClusterPaths;
  binaries: Binaries;
  account: Account;
  /** Skips flushing to disk: for data that need not outlive a crash. */
  temporary: boolean;
}

export function assertSameMajorVersion({ paths, binaries }: ClusterOptions): void {
  const versionFile = join(paths.data, 'PG_VERSION');
  if (!existsSync(versionFile)) return;
  const found = readFileSync(versionFile, 'utf8').trim();
  if (found === binaries.majorVersion) return;
  throw new ExpectedError(
    `The data in ${paths.data} belongs to PostgreSQL ${found}, but this version of Rind brings PostgreSQL ` +
      `${binaries.majorVersion}: move that folder away for an empty database, or go back to the version of Rind that wrote it.`,
  );
}

/** Makes the cluster where there is none and answers the password of its role. */
export async function prepareCluster(options: ClusterOptions): Promise<string> {
  if (!existsSync(options.paths.data)) await createCluster(options);
  const password = await readFile(options.paths.passwordFile, 'utf8').catch(() => '');
  return password.trim() || renewPassword(options);
}

/**
 * Built under another name and renamed when complete, so that an interrupted first start leaves nothing that
 * looks like a database.
 */
async function createCluster(options: ClusterOptions): Promise<void> {
  const { paths, account } = options;
  const unfinished = `${paths.data}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (account) await chown(unfinished, account.uid, account.gid);

  initialize(options, unfinished);
  // The superuser gets no password and so cannot sign in; Rind's role owns its database and no more, as it
  // would on a server that somebody else runs.
  runSingleUser(options, unfinished, [
    `CREATE ROLE ${ROLE} LOGIN CREATEDB`,
    `CREATE DATABASE ${DATABASE} OWNER ${ROLE}`,
  ]);
  await writeFile(join(unfinished, 'pg_hba.conf'), HOST_BASED_AUTHENTICATION);
  await rm(paths.passwordFile, { force: true });
  await rename(unfinished, paths.data);
}

function initialize({ binaries, account, temporary }: ClusterOptions, directory: string): void {
  const args = [
    `--pgdata=${directory}`,
    '--username=postgres',
    '--auth=trust',
    '--encoding=UTF8',
    // PostgreSQL's own locale sorts the same on every operating system.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(temporary ? ['--no-sync'] : []),
  ];
  const result = spawnSync(binaries.initdb, args, {
    cwd: '/',
    env: SERVER_ENVIRONMENT,
    encoding: 'utf8',
    ...account,
  });
  if (result.status === 0) return;
  throw new ExpectedError(
    `PostgreSQL could not create its files in ${directory}: ${outputOf(result)}`,
  );
}

async function renewPassword(options: ClusterOptions): Promise<string> {
  const password = randomBytes(24).toString('hex');
  runSingleUser(options, options.paths.data, [`ALTER ROLE ${ROLE} PASSWORD '${password}'`]);
  await writeFile(options.paths.passwordFile, `${password}\n`, { mode: 0o600 });
  return password;
}

/** Runs statements, one a line, in a server without a network or sign-in; only while no other one runs. */
function runSingleUser(
  { binaries, account }: ClusterOptions,
  directory: string,
  statements: string[],
): void {
  const result = spawnSync(binaries.postgres, ['--single', '-D', directory, 'postgres'], {
    cwd: '/',
    env: SERVER_ENVIRONMENT,
    input: `${statements.join('\n')}\n`,
    encoding: 'utf8',
    ...account,
  });
  // A statement that fails is reported but leaves the exit status at 0.
  if (result.status === 0 && !/^.*(ERROR|FATAL|PANIC):/m.test(result.stderr)) return;
  throw new ExpectedError(
    `PostgreSQL could not set up its files in ${directory}: ${outputOf(result)}`,
  );
}

function outputOf(result: { error?: Error; stdout: string; stderr: string }): string {
  return (result.error?.message ?? (result.stderr || result.stdout)).trim();
}
