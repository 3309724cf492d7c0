import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type ConnectionTarget, withClient } from './connection.ts';
import { MigrateError } from './errors.ts';

/** "Rind" in ASCII: the lock that processes of this tool take turns with. */
const RIND_LOCK_KEY = 0x52696e64;
/** The key that Prisma's engine locks, on the very session that it runs migrations on. */
const PRISMA_LOCK_KEY = 72707369;
const DEFAULT_LOCK_TIMEOUT_MS = 10 * 60 * 1000;
const ASK_AGAIN_MS = 500;

export interface LockOptions {
  onProgress: (message: string) => void;
  lockTimeoutMs?: number | undefined;
}

/**
 * Runs `use` while no other process migrates this database. The lock is on a session of its own,
 * since node-postgres drops the engine's session after a failed migration, and the lock would go
 * with it before the failure is recorded.
 */
export async function withMigrationLock<T>(
  target: ConnectionTarget,
  { onProgress, lockTimeoutMs = DEFAULT_LOCK_TIMEOUT_MS }: LockOptions,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return withClient(target, async (client) => {
    const options = { onProgress, lockTimeoutMs };
    await acquire(client, RIND_LOCK_KEY, options);
    // A `prisma migrate deploy` elsewhere, or the server still at work on the migration of a process
    // that was killed. Only waited for: the engine takes this one itself, on its own session.
    await acquire(client, PRISMA_LOCK_KEY, options);
    await client.query('SELECT pg_advisory_unlock($1)', [PRISMA_LOCK_KEY]);
    return use(client);
  });
}

/**
 * Asks again and again, since a session that waits in pg_advisory_lock() has a snapshot: whoever holds the lock and
 * builds an index concurrently would wait for that session, and both for ever.
 */
async function acquire(
  client: pg.Client,
  key: number,
  { onProgress, lockTimeoutMs }: Required<LockOptions> & { lockTimeoutMs: number },
): Promise<void> {
  const endMs = performance.now() + lockTimeoutMs;
  if (await tryLock(client, key)) return;
  onProgress('Another process is migrating this database: waiting for it to finish.');
  for (let leftMs = lockTimeoutMs; leftMs > 0; leftMs = endMs - performance.now()) {
    await delay(Math.min(leftMs, ASK_AGAIN_MS));
    if (await tryLock(client, key)) return;
  }
  throw new MigrateError(
    `Another process has been migrating this database for more than ${lockTimeoutMs / 1000} s. ` +
      'Find it in pg_locks (locktype advisory), then try again.',
  );
}

async function tryLock(client: pg.Client, key: number): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_lock($1) AS locked',
    [key],
  );
  return rows[0]!.locked;
}
