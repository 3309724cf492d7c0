import { existsSync } from 'node:fs';
import { chmod, mkdir, realpath, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { tryLockDirectory } from './directory-lock.ts';
import { type Account, canEnter, chooseAccount } from './embedded-postgres/account.ts';
import { locateBinaries, makeStagingDirectory, stagedHome } from './embedded-postgres/binaries.ts';
import {
  assertSameMajorVersion,
  clusterPaths,
  DATABASE,
  prepareCluster,
  ROLE,
} from './embedded-postgres/cluster.ts';
import { clearOrphan } from './embedded-postgres/orphan.ts';
import { runServer } from './embedded-postgres/server.ts';
import { ExpectedError } from './expected-error.ts';

// The class of `embedded-postgres` is not used, only the binaries that the package brings: the class stops the
// server on signals by itself (before the API that still uses it), lets the terminal's Ctrl-C reach the server,
// hands it this process's whole environment, writes the password to a file that everybody may read, and knows
// neither a server left by a killed process nor a folder that the database's user cannot enter.

export interface EmbeddedPostgresOptions {
  /** Everything lies below it; created when missing. */
  dataDir: string;
  onProgress?: (message: string) => void;
  /** For tests: nothing is flushed to disk, and `stop()` deletes the data. */
  temporary?: boolean;
  /**
   * Lets the data go to a folder of the system when the database's user cannot enter `dataDir`. Not for a folder
   * that somebody chose on purpose.
   */
  relocatable?: boolean;
}

export interface EmbeddedPostgres {
  /** Connects to the database `rind` as its owner, who may create further databases. */
  url: string;
  /** Where its files are: below the data directory, unless they were moved. */
  directory: string;
  stop(): Promise<void>;
  /** Settles when the server has ended, on request or not. */
  ended: Promise<void>;
}

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1, creating its cluster at the first start. It ends with
 * `stop()` or with this process, however that ends.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { onProgress = () => undefined, temporary = false } = options;
  const dataDir = await prepareDataDir(options.dataDir, temporary);
  const unlock = tryLockDirectory(dataDir);
  if (!unlock) throw new ExpectedError(`Another process is using the database in ${dataDir}.`);

  try {
    const staged = stagedHome(dataDir);
    const account = chooseAccount([clusterPaths(dataDir).data, clusterPaths(staged).data]);
    const binaries = await locateBinaries(account, onProgress);
    const home = await chooseHome({ dataDir, staged, account, options, onProgress });
    const paths = clusterPaths(home);
    const context = { paths, binaries, account, temporary };

    assertSameMajorVersion(context);
    await clearOrphan(paths.data, onProgress);
    if (!existsSync(paths.data)) onProgress(`Creating the database in ${paths.data}`);
    const password = await prepareCluster(context);
    const server = await runServer(context);

    return {
      url: `postgresql://${ROLE}:${password}@127.0.0.1:${server.port}/${DATABASE}`,
      directory: paths.data,
      ended: server.ended,
      stop: async () => {
        await server.stop();
        unlock();
        if (temporary) await rm(paths.data, { recursive: true, force: true });
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function prepareDataDir(dataDir: string, temporary: boolean): Promise<string> {
  const isRoot = process.getuid?.() === 0;
  await mkdir(dirname(dataDir), { recursive: true });
  const created = await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // The user that root hands the server to has to pass through. A folder that was there before keeps its mode:
  // it may be somebody's home.
  if (isRoot && (created !== undefined || temporary)) await chmod(dataDir, 0o711);
  return realpath(dataDir);
}

interface HomeChoice {
  dataDir: string;
  staged: string;
  account: Account;
  options: EmbeddedPostgresOptions;
  onProgress: (message: string) => void;
}

/** The directory of the cluster: the data directory, unless the server's user cannot enter it. */
async function chooseHome({
  dataDir,
  staged,
  account,
  options,
  onProgress,
}: HomeChoice): Promise<string> {
  if (!account) return dataDir;
  const inUse = [dataDir, staged].find((home) => existsSync(clusterPaths(home).data));
  if (inUse === staged) return staged;
  if (canEnter(account, inUse ? clusterPaths(inUse).data : dataDir)) return dataDir;
  if (!options.relocatable) {
    throw new ExpectedError(
      `PostgreSQL refuses to run as root, and its own user cannot enter ${dataDir}: set RIND_DATA_DIR to a folder ` +
        'that everyone may enter, or start as an ordinary user.',
    );
  }
  onProgress(`The database's user cannot enter ${dataDir}: its files go to ${staged}`);
  await makeStagingDirectory(staged);
  return staged;
}
