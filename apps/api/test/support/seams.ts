import type { Pool } from 'pg';

/** A point in the code at which a test stops whoever comes by. */
export interface Seam {
  /** Resolves when the first one has arrived. */
  reached: Promise<void>;
  /** Lets everybody go on, and takes the seam out. */
  release(): void;
}

/** Stops calls of one method of a running service, before it begins or after it has finished. */
export function hold<Service extends object>(
  service: Service,
  method: keyof Service & string,
  moment: 'before' | 'after',
): Seam {
  const original = service[method] as (...parameters: unknown[]) => Promise<unknown>;
  const arrived = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const stop = () => {
    arrived.resolve();
    return released.promise;
  };
  const stopping = async (...parameters: unknown[]) => {
    if (moment === 'before') await stop();
    const result = await original.apply(service, parameters);
    if (moment === 'after') await stop();
    return result;
  };
  Object.assign(service, { [method]: stopping });
  return {
    reached: arrived.promise,
    release: () => {
      Object.assign(service, { [method]: original });
      released.resolve();
    },
  };
}

/**
 * Resolves when each of the pieces of work waits for a lock in the database or has ended: PostgreSQL
 * announces waiting nowhere, so its activity is asked until it is so.
 */
export async function untilBlocked(sql: Pool, ...work: readonly Promise<unknown>[]): Promise<void> {
  let ended = 0;
  const end = () => {
    ended += 1;
  };
  for (const piece of work) piece.then(end, end);
  let blocked = 0;
  while (blocked + ended < work.length) {
    const { rows } = await sql.query<{ blocked: number }>(
      `SELECT count(*)::int AS blocked FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    blocked = rows[0]?.blocked ?? 0;
  }
}
