import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { tryLockDirectory } from '../directory-lock.ts';
import { ExpectedError } from '../expected-error.ts';

const POLL_MS = 100;
/** A start that was killed from above needs a moment to notice it. */
const NOTICE_TIMEOUT_MS = 2_000;
const STOP_TIMEOUT_MS = 60_000;

/** What a start leaves in its data directory for the next one. */
export interface RunState {
  pid: number;
  port: number;
  apiPid?: number;
  stopping?: boolean;
}

/**
 * Creates the data directory and answers its real path. Nobody else can list it; when root runs it, the
 * database's user has to pass through.
 */
export async function prepareDataDirectory(dataDir: string): Promise<string> {
  try {
    await mkdir(dirname(dataDir), { recursive: true });
    const created = await mkdir(dataDir, { recursive: true, mode: 0o700 });
    if (created !== undefined && process.getuid?.() === 0) await chmod(dataDir, 0o711);
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    await mkdir(join(dataDir, 'outbox'), { recursive: true, mode: 0o700 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ExpectedError(
      `The data directory ${dataDir} cannot be used (${reason}): start as the user that owns it, or set RIND_DATA_DIR.`,
    );
  }
  return realpath(dataDir);
}

/** Keeps the directory for this process, whose end releases it; waits for an earlier start that is stopping. */
export async function lockDataDirectory(
  dataDir: string,
  onProgress: (message: string) => void,
): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    if (tryLockDirectory(dataDir)) return;
    const holder = await readRunState(dataDir);
    if (waitedMs === NOTICE_TIMEOUT_MS && holder?.stopping)
      onProgress('Waiting for the previous start to stop');
    if (waitedMs >= (holder?.stopping ? STOP_TIMEOUT_MS : NOTICE_TIMEOUT_MS))
      throw inUse(dataDir, holder);
    await delay(POLL_MS);
  }
}

function inUse(dataDir: string, holder: RunState | undefined): ExpectedError {
  if (!holder) return new ExpectedError(`Another process is using the data in ${dataDir}.`);
  return new ExpectedError(
    `Rind is already running with the data in ${dataDir} (process ${holder.pid}, port ${holder.port}): ` +
      'stop it first, or give this one a PORT and a RIND_DATA_DIR of its own.',
  );
}

function runStateFile(dataDir: string): string {
  return join(dataDir, 'running.json');
}

export async function readRunState(dataDir: string): Promise<RunState | undefined> {
  try {
    return JSON.parse(await readFile(runStateFile(dataDir), 'utf8')) as RunState;
  } catch {
    return undefined;
  }
}

export async function writeRunState(dataDir: string, state: RunState): Promise<void> {
  const unfinished = `${runStateFile(dataDir)}.${process.pid}`;
  await writeFile(unfinished, JSON.stringify(state));
  await rename(unfinished, runStateFile(dataDir));
}

export async function removeRunState(dataDir: string): Promise<void> {
  await rm(runStateFile(dataDir), { force: true });
}

/** Made once and kept, so that sign-ins and second factors survive a restart. */
export async function developmentSecret(dataDir: string, name: string): Promise<string> {
  const file = join(dataDir, name);
  const found = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (found) return found;
  const secret = randomBytes(48).toString('base64url');
  await writeFile(file, `${secret}\n`, { mode: 0o600 });
  return secret;
}
