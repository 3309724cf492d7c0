import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

import { API_ENTRY } from '../build.ts';
import { ExpectedError } from '../expected-error.ts';
import { commandLineOf, isAlive } from '../processes.ts';
import { ROOT } from './settings.ts';

const POLL_MS = 100;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** Longer than an API that has lost its parent gives itself. */
const ORPHAN_TIMEOUT_MS = 20_000;

export interface RunningApi {
  pid: number;
  /** Settles with how the process ended, in words. */
  ended: Promise<string>;
  stop(): Promise<void>;
  kill(): void;
}

export async function startApi(env: NodeJS.ProcessEnv): Promise<RunningApi> {
  const readable = process.stdout.isTTY;
  const preload = import.meta.resolve('./exit-with-parent.mjs');
  const child = spawn(process.execPath, ['--enable-source-maps', '--import', preload, API_ENTRY], {
    cwd: ROOT,
    env,
    stdio: ['ignore', readable ? 'pipe' : 'inherit', 'inherit', 'ipc'],
    // The terminal's Ctrl-C would otherwise reach it beside the signal of `stop`.
    detached: true,
  });
  if (child.stdout) child.stdout.pipe(await prettyPrinter());
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(signal ? `signal ${signal}` : `exit code ${code}`),
    );
  });
  return {
    pid: child.pid ?? 0,
    ended,
    kill: () => child.kill('SIGKILL'),
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Logs are JSON; people at a terminal get them formatted. */
async function prettyPrinter(): Promise<NodeJS.WritableStream> {
  const { default: pretty } = await import('pino-pretty');
  return pretty({
    colorize: true,
    singleLine: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss',
  });
}

/** Resolves when the API answers that it is ready. */
export async function waitUntilReady(
  url: string,
  api: RunningApi,
  signal: AbortSignal,
): Promise<void> {
  const end = new AbortController();
  const ended = api.ended.then((how) => {
    throw new ExpectedError(`The API ended while it was starting (${how}); the reason is above.`);
  });
  try {
    await Promise.race([ended, pollReady(url, AbortSignal.any([signal, end.signal]))]);
  } finally {
    end.abort();
    ended.catch(() => undefined);
  }
}

async function pollReady(url: string, signal: AbortSignal): Promise<void> {
  let lastAnswer = 'no answer';
  for (let waitedMs = 0; waitedMs < READY_TIMEOUT_MS; waitedMs += POLL_MS) {
    try {
      const response = await fetch(url, { signal });
      if (response.ok) return;
      lastAnswer = `${response.status} ${await response.text()}`;
    } catch {
      // It does not listen yet.
    }
    await delay(POLL_MS, undefined, { signal });
  }
  throw new ExpectedError(
    `The API did not become ready within ${READY_TIMEOUT_MS / 1000} s: ${lastAnswer}`,
  );
}

/** An API whose start was killed ends by itself; one that hangs is ended here, since it holds the port. */
export async function clearOrphanApi(
  pid: number | undefined,
  onProgress: (message: string) => void,
): Promise<void> {
  if (!pid || !isAlive(pid) || !(await commandLineOf(pid)).includes(API_ENTRY)) return;
  onProgress('Waiting for the API that an earlier start left behind');
  for (let waitedMs = 0; waitedMs < ORPHAN_TIMEOUT_MS; waitedMs += POLL_MS) {
    if (!isAlive(pid)) return;
    await delay(POLL_MS);
  }
  process.kill(pid, 'SIGKILL');
}
