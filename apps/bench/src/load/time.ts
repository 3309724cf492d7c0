import type { Operation } from '../contestants/contestant.ts';

/** Of each operation in ms, one after the other. */
export async function timeEach(operations: readonly Operation[]): Promise<number[]> {
  const times: number[] = [];
  for (const operation of operations) {
    const startedMs = performance.now();
    await operation.run();
    times.push(performance.now() - startedMs);
  }
  return times;
}

/** Verifies an operation, then repeats new ones until the time is over. */
export async function warmUp(next: () => Operation, forMs: number): Promise<void> {
  const startedMs = performance.now();
  do {
    await next().verify();
  } while (performance.now() - startedMs < forMs);
}
