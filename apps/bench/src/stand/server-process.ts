import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ExpectedError } from '../../../../scripts/expected-error.ts';
import { findFreePort } from '../../../../scripts/ports.ts';
import type { Teardown } from './teardown.ts';

const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const EXIT_WITH_PARENT = import.meta.resolve('../../../../scripts/start/exit-with-parent.mjs');

export interface ServerProcess {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

interface ServerOptions {
  name: string;
  /** The file that Node starts; it listens on PORT. */
  entry: string;
  env: Record<string, string>;
  /** A path that answers 200 as soon as requests may come. */
  readyPath: string;
}

/** A server in a process of its own, so that it shares no event loop with who measures it. */
export async function startServerProcess(
  { name, entry, env, readyPath }: ServerOptions,
  teardown: Teardown,
): Promise<ServerProcess> {
  const port = await findFreePort(HOST);
  // It ends by itself with this process, should the run be interrupted right here.
  const child = spawn(process.execPath, ['--import', EXIT_WITH_PARENT, entry], {
    env: { PATH: process.env['PATH'], PORT: String(port), NODE_ENV: 'production', ...env },
    // Its log is written, as in production, and read by nobody.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // The terminal's Ctrl-C would otherwise reach it beside the signal of `stop`.
    detached: true,
  });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const ended = once(child, 'close');
  ended.catch(() => undefined);
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  };
  teardown.add(stop);

  const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
  while (!deadline.aborted && child.exitCode === null) {
    const answer = await fetch(`http://${HOST}:${port}${readyPath}`).catch(() => null);
    if (answer?.ok) return { host: HOST, port, pid: child.pid!, stop };
    await delay(50);
  }
  throw new ExpectedError(`${name} did not get ready:\n${errors}`);
}
