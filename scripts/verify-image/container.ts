import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import type { ImageConfig } from './buildah.ts';

/**
 * What a container engine does, by the kernel's own means: namespaces for processes and mounts, a root file system
 * that is only for reading, an empty /tmp in memory. The program is the first process there.
 */
const ENTER = `
mount --bind "$0" "$0"
mount --rbind /dev "$0/dev"
mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
mount -o remount,bind,ro "$0"
user="$1" directory="$2"
shift 2
exec chroot --userspec="$user" "$0" env -C "$directory" "$@"
`;

const TICKS_PER_SECOND = 100;

/** A command in the root file system of an image, as its user, with its environment. */
export class Container {
  output = '';
  readonly ended: Promise<number | null>;
  readonly #supervisor: ChildProcess;

  constructor(
    root: string,
    { User, WorkingDir, Env }: ImageConfig,
    command: readonly string[],
    environment: Record<string, string> = {},
  ) {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child'];
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const enter = ['sh', '-ec', ENTER, root, User, WorkingDir];
    this.#supervisor = spawn(
      'unshare',
      [...namespaces, '--', ...enter, '-i', ...Env, ...variables, ...command],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    for (const stream of [this.#supervisor.stdout, this.#supervisor.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => (this.output += chunk));
    }
    this.ended = once(this.#supervisor, 'close').then(([code]: (number | null)[]) => code ?? null);
  }

  /** The program's own process, as the machine sees it. */
  get pid(): number {
    const supervisor = this.#supervisor.pid ?? 0;
    return Number(readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8'));
  }

  /** What it has used of the processors, in seconds: unlike a time, it tells the same on a busy machine. */
  processorSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const [ticks, ticksOfSystem] = fields.slice(11, 13).map(Number);
    return ((ticks ?? 0) + (ticksOfSystem ?? 0)) / TICKS_PER_SECOND;
  }

  /** Of its memory, in MB: what it holds now, and the most that it ever held. */
  memory(): { nowMb: number; peakMb: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const megabytes = (name: string): number =>
      Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024);
    return { nowMb: megabytes('VmRSS'), peakMb: megabytes('VmHWM') };
  }

  /** As `docker stop` asks; resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.#supervisor.exitCode === null) process.kill(this.pid, 'SIGTERM');
    return this.ended;
  }
}
