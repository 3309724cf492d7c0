import { readFile } from 'node:fs/promises';
import type { ServerProcess } from './server-process.ts';

const fields = { now: 'VmRSS', peak: 'VmHWM' } as const;

/** In bytes; null where the system does not tell. */
export async function memoryOf(
  { pid }: ServerProcess,
  moment: keyof typeof fields,
): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = new RegExp(`^${fields[moment]}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}
