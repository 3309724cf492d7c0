import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { ExpectedError } from '../expected-error.ts';
import { findFreePort } from '../ports.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { type ClusterPaths, SERVER_ENVIRONMENT } from './cluster.ts';
import { readServerPid } from './orphan.ts';

const HOST = '127.0.0.1';
const START_ATTEMPTS = 5;
const RETRY_DELAY_MS = 500;
const STOP_TIMEOUT_MS = 30_000;
const KEPT_LOG_LINES = 20;

/**
 * Runs the server until standard input ends, then asks it to shut down (SIGINT: roll back and disconnect). Node
 * holds the other end of that pipe, so the server stops in the same way whether it is closed on purpose or
 * because Node was killed.
 */
const RUN_UNTIL_INPUT_ENDS = `
  exec 3<&0
  "$@" 3<&- &
  server=$!
  { read -r _ <&3; kill -INT $server; } >/dev/null 2>&1 &
  watcher=$!
  exec 3<&-
  wait $server
  status=$?
  kill $watcher 2>/dev/null
  exit $status
`;

export interface RunningServer {
  port: number;
  stop(): Promise<void>;
  /** Settles when the server has ended, on request or not. */
  ended: Promise<void>;
}

interface ServerOptions {
  paths: ClusterPaths;
  binaries: Binaries;
  account: Account;
  temporary: boolean;
}

export async function runServer(options: ServerOptions): Promise<RunningServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(options, await findFreePort(HOST));
    } catch (error) {
      if (attempt === START_ATTEMPTS || !(error instanceof TemporaryRefusal)) throw error;
      await delay(RETRY_DELAY_MS);
    }
  }
}

/** Somebody else took the port meanwhile, or processes of a killed server have not all ended yet. */
class TemporaryRefusal extends ExpectedError {}

async function launch(options: ServerOptions, port: number): Promise<RunningServer> {
  const { paths, binaries, account } = options;
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      RUN_UNTIL_INPUT_ENDS,
      'rind-postgres',
      binaries.postgres,
      '-D',
      paths.data,
      ...settings(options, port),
    ],
    // Detached: a Ctrl-C in the terminal must not reach the server before the API has ended.
    {
      cwd: '/',
      env: SERVER_ENVIRONMENT,
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      ...account,
    },
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  // A server that is gone has closed its end of the pipe; `ended` says so.
  child.stdin.on('error', () => undefined);

  const log = createWriteStream(paths.logFile, { mode: 0o600 });
  child.stderr.pipe(log);
  const lastLines: string[] = [];
  const ready = new Promise<boolean>((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      lastLines.push(line);
      if (lastLines.length > KEPT_LOG_LINES) lastLines.shift();
      if (line.includes('ready to accept connections')) resolve(true);
    });
    void ended.then(() => resolve(false));
  });

  if (!(await ready)) throw refusal(lastLines.join('\n'), paths.logFile);
  return { port, ended, stop: () => stop(child.stdin, ended, paths.data) };
}

function settings({ temporary }: ServerOptions, port: number): string[] {
  const values: Record<string, string | number> = {
    listen_addresses: HOST,
    port,
    unix_socket_directories: '',
    max_connections: 100,
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(temporary && { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function refusal(log: string, logFile: string): ExpectedError {
  const message = `The embedded PostgreSQL did not start (${logFile}):\n${log}`;
  const mayPass = /Address already in use|shared memory block .* still in use/.test(log);
  return mayPass ? new TemporaryRefusal(message) : new ExpectedError(message);
}

async function stop(
  input: NodeJS.WritableStream,
  ended: Promise<void>,
  cluster: string,
): Promise<void> {
  input.end();
  const patience = new AbortController();
  const timedOut = delay(STOP_TIMEOUT_MS, 'timeout', { signal: patience.signal }).catch(
    () => undefined,
  );
  if ((await Promise.race([ended, timedOut])) === 'timeout') {
    const pid = await readServerPid(cluster);
    if (pid !== undefined) process.kill(pid, 'SIGQUIT');
  }
  patience.abort();
  await ended;
}
