import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';

const MAX_WAIT_MS = 1_000;

/**
 * Ends a pool of which nobody needs anything any more. Waits but a moment for what is lent out: the
 * other end of a connection may be gone without a word, and would hold up the end of the process.
 */
export async function closePool(pool: Pool): Promise<void> {
  const waiting = new AbortController();
  try {
    await Promise.race([pool.end(), delay(MAX_WAIT_MS, undefined, waiting)]);
  } finally {
    waiting.abort();
  }
}
