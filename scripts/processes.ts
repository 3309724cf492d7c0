import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether the id is taken, be it by a process that has ended and that nobody has asked for its result. */
export function isPidTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists, but belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Containers are often without an init that collects orphans: what has ended stays listed there, as a zombie. */
export function isAlive(pid: number): boolean {
  return isPidTaken(pid) && !isZombie(pid);
}

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The command line of a process, or an empty string when there is none. */
export async function commandLineOf(pid: number): Promise<string> {
  try {
    const content = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return content.replaceAll('\0', ' ').trim();
  } catch {
    // Only Linux has /proc, and a slim Linux has no ps.
    const answer = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({
      stdout: '',
    }));
    return answer.stdout.trim();
  }
}
