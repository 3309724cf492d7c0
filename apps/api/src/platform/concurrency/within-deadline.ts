import { setTimeout as delay } from 'node:timers/promises';

/** Null for work that is late. It goes on all the same, and what it throws then is nobody's. */
export async function withinDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T | null> {
  const timeout = new AbortController();
  const deadline = delay(deadlineMs, null, { signal: timeout.signal, ref: false });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    timeout.abort();
    await deadline.catch(() => null);
  }
}
