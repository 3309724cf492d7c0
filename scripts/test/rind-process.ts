import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, chmod } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { isAlive } from '../processes.ts';

const ROOT = dirname(dirname(import.meta.dirname));
const READY = 'Rind is running.';

/** A place for a data directory that the database's user can enter when the tests run as root. */
export async function makeDataParent(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'rind-start-'));
  await chmod(parent, 0o755);
  return parent;
}

/** One `npm start`, without npm. */
export class RindProcess {
  readonly ended: Promise<number | null>;
  readonly pid: number;
  output = '';
  errors = '';
  private readonly ready = Promise.withResolvers<void>();
  private readonly dataDir: string;

  constructor(dataDir: string, env: NodeJS.ProcessEnv) {
    this.dataDir = dataDir;
    const child = spawn(process.execPath, [join(ROOT, 'scripts', 'bootstrap.mjs'), 'start'], {
      // A database or secret of whoever runs the tests must not change what they test; nor may their npm.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], RIND_DATA_DIR: dataDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, as a terminal gives it.
      detached: true,
    });
    this.pid = child.pid ?? 0;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.output += chunk;
      if (this.output.includes(READY)) this.ready.resolve();
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (this.errors += chunk));
    this.ended = once(child, 'close').then(([code]) => code as number | null);
    void this.ended.then(() => {
      this.ready.reject(new Error(`It ended before it was ready:\n${this.output}${this.errors}`));
    });
    this.ready.promise.catch(() => undefined);
  }

  untilReady(): Promise<void> {
    return this.ready.promise;
  }

  /** What a terminal does: everything in the foreground gets the signal. */
  pressCtrlC(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  /** The ids of all its processes, by what they are. */
  processes(): RindProcesses {
    const { pid, apiPid } = JSON.parse(
      readFileSync(join(this.dataDir, 'running.json'), 'utf8'),
    ) as { pid: number; apiPid: number };
    const postmaster = readFileSync(join(this.dataDir, 'postgres', 'postmaster.pid'), 'utf8');
    const server = Number.parseInt(postmaster, 10);
    const listing = execFileSync('ps', ['-eo', 'pid=,pgid='], { encoding: 'utf8' });
    const processes = listing.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
    const group = processes.find(([id]) => id === server)?.[1];
    const supervisors = processes
      .filter(([id, groupId]) => groupId === group && id !== server)
      .map(([id = 0]) => id);
    return { bootstrap: this.pid, start: pid, api: apiPid, server, supervisors };
  }
}

interface RindProcesses {
  bootstrap: number;
  start: number;
  api: number;
  server: number;
  /** The shells that stop the server when `start` is gone. */
  supervisors: number[];
}

/** Waits for processes that are not children, whose end nothing announces. */
export async function untilGone(pids: readonly number[], timeoutMs = 10_000): Promise<void> {
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += 50) {
    if (!pids.some(isAlive)) return;
    await delay(50);
  }
  throw new Error(`Still running: ${pids.filter(isAlive).join(', ')}`);
}
