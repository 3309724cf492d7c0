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

/** One client's work, the next piece on each call; undefined when nothing is left. */
export type Work = () => Operation | undefined;

/**
 * Operations per second of clients that ask at once, each for the next as soon as the last is
 * done, until the time is over or one of them has no work left.
 */
export async function operationsPerSecond(
  clients: readonly Work[],
  seconds: number,
): Promise<number> {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  let done = 0;
  let isOver = false;
  const work = async (next: Work) => {
    while (!isOver) {
      const operation = next();
      if (!operation) break;
      await operation.run();
      done += 1;
      isOver ||= performance.now() >= endMs;
    }
    isOver = true;
  };
  await Promise.all(clients.map(work));
  return done / ((performance.now() - startedMs) / 1000);
}
