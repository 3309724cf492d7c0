import { readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { ExpectedError } from '../expected-error.ts';
import { commandLineOf, isAlive, isPidTaken } from '../processes.ts';

const POLL_MS = 25;

/**
 * Clears what an earlier run left in a cluster that no living process has locked: a server whose supervisor
 * was killed is shut down, a process id file that names some unrelated process is removed.
 * PostgreSQL itself would refuse to start in both cases.
 */
export async function clearOrphan(
  cluster: string,
  onProgress: (message: string) => void,
): Promise<void> {
  const pid = await readServerPid(cluster);
  if (pid === undefined || !isPidTaken(pid)) return;
  if (!(await isServerOf(pid, cluster))) {
    await rm(join(cluster, 'postmaster.pid'), { force: true });
    return;
  }
  onProgress('Stopping the database server that an earlier start left behind');
  if (await signalAndWait(pid, 'SIGINT', 30_000)) return;
  if (await signalAndWait(pid, 'SIGQUIT', 5_000)) return;
  throw new ExpectedError(
    `An earlier database server (process ${pid}) does not stop: end it and start again.`,
  );
}

/** The first line of `postmaster.pid`. */
export async function readServerPid(cluster: string): Promise<number | undefined> {
  const content = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(content, 10);
  return pid > 0 ? pid : undefined;
}

/** Process ids are reused, after a restart of the machine above all, so the id alone proves nothing. */
async function isServerOf(pid: number, cluster: string): Promise<boolean> {
  const commandLine = await commandLineOf(pid);
  if (!commandLine.includes('postgres')) return false;
  const workingDirectory = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return workingDirectory === cluster || commandLine.includes(cluster);
}

async function signalAndWait(
  pid: number,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  process.kill(pid, signal);
  // Nothing announces the end of a process that is not a child, so it is polled.
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += POLL_MS) {
    if (!isAlive(pid)) return true;
    await delay(POLL_MS);
  }
  return !isAlive(pid);
}
