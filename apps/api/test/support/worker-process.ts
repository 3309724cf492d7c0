import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { z } from 'zod';
import type { DatabaseEnvironment } from './test-database.js';

const PROGRAM = path.join(import.meta.dirname, 'worker-program.ts');

/** Where the job leaves its effect: its number, and the process that did it. */
export const EFFECTS = 'effects';
export const effect = { name: 'effect', payload: z.object({ n: z.int() }) };

/** All but the silence, which a test makes pass by moving times in the database. */
export const QUICK = { pollIntervalMs: 50, heartbeatMs: 50 };

/** Does jobs of the kind `effect`: begins each, tells so, and finishes none before it is allowed to. */
export class WorkerProcess {
  private readonly child: ChildProcess;
  private readonly begun: number[] = [];

  constructor(environment: DatabaseEnvironment) {
    this.child = fork(PROGRAM, {
      env: { PATH: process.env['PATH'], ...environment },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.child.on('message', (message: { begun: number }) => void this.begun.push(message.begun));
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Resolves with the number of the job that it began first. */
  async untilBegun(): Promise<number> {
    while (this.begun.length === 0) await once(this.child, 'message');
    return this.begun[0]!;
  }

  allow(): void {
    this.child.send('go');
  }

  /** As the power cut: nothing is finished, nothing given back. */
  async kill(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }
}
