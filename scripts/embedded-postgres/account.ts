import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { ExpectedError } from '../expected-error.ts';

/** The operating system's user that the server runs as; `undefined` stands for the current one. */
export type Account = { uid: number; gid: number } | undefined;

const CANDIDATES = ['postgres', '_postgres'];

/**
 * PostgreSQL refuses to run as root, so root hands it to an ordinary user: the owner of the data, if there is
 * any, otherwise the system's `postgres` user, which is created where it is missing.
 */
export function chooseAccount(clusters: readonly string[]): Account {
  if (process.getuid?.() !== 0) return undefined;
  for (const cluster of clusters) {
    const owner = statSync(join(cluster, 'PG_VERSION'), { throwIfNoEntry: false });
    if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  }
  return findSystemUser() ?? createSystemUser();
}

/** Whether a command succeeds for that user, started where everyone may be. */
export function succeedsAs(account: Account, command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd: '/', stdio: 'ignore', ...account }).status === 0;
}

export function canEnter(account: Account, directory: string): boolean {
  return succeedsAs(account, '/bin/sh', ['-c', 'cd "$1"', 'sh', directory]);
}

function findSystemUser(): Account {
  for (const name of CANDIDATES) {
    const [uid, gid] = ['-u', '-g'].map((flag) => {
      const answer = spawnSync('id', [flag, name], { encoding: 'utf8' });
      return answer.status === 0 ? Number.parseInt(answer.stdout, 10) : 0;
    });
    if (uid && gid) return { uid, gid };
  }
  return undefined;
}

function createSystemUser(): Account {
  spawnSync(
    // Not every root has this folder on the PATH.
    '/usr/sbin/useradd',
    ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'],
    {
      stdio: 'ignore',
    },
  );
  const account = findSystemUser();
  if (account) return account;
  throw new ExpectedError(
    'PostgreSQL refuses to run as root, and no system user "postgres" could be created for it: create one, ' +
      'start as an ordinary user, or set DATABASE_URL to a database of your own.',
  );
}
