import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';

const CLI = path.join(import.meta.dirname, '../../../../prisma/backup/cli.ts');

export interface Outcome {
  /** Null when a signal ended it. */
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

/** `npm run db:backup` and `npm run db:restore` as the processes that they are. */
export class BackupProgram {
  readonly ended: Promise<Outcome>;
  readonly #child: ChildProcess;

  constructor(databaseUrl: string, command: 'backup' | 'restore', args: string[]) {
    this.#child = spawnProgram(databaseUrl, [command, ...args]);
    this.ended = this.#outcome();
  }

  static run(
    databaseUrl: string,
    command: 'backup' | 'restore',
    ...args: string[]
  ): Promise<Outcome> {
    return new BackupProgram(databaseUrl, command, args).ended;
  }

  /** Its exit code where nobody reads what it tells. */
  static async runUnheard(
    databaseUrl: string,
    command: 'backup' | 'restore',
    ...args: string[]
  ): Promise<number | null> {
    const child = spawnProgram(databaseUrl, [command, ...args]);
    child.stderr!.destroy();
    child.stdout!.destroy();
    await once(child, 'close');
    return child.exitCode;
  }

  /** By default as a crash does (-9). */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Outcome> {
    this.#child.kill(signal);
    return this.ended;
  }

  async #outcome(): Promise<Outcome> {
    const [stdout, stderr] = await Promise.all([
      buffer(this.#child.stdout!),
      text(this.#child.stderr!),
      once(this.#child, 'close'),
    ]);
    return { code: this.#child.exitCode, stdout, stderr };
  }
}

function spawnProgram(databaseUrl: string, args: string[]): ChildProcess {
  return spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'], DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
