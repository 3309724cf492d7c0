import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { isDatabaseUnavailable } from '../database/database-errors.js';

interface Timing {
  readonly heartbeatMs: number;
  readonly silenceMs: number;
}

const ANNOUNCE = `INSERT INTO worker_pools (id, seen_at) VALUES ($1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`;

const BEAT = 'UPDATE worker_pools SET seen_at = clock_timestamp() WHERE id = $1';

const LEAVE = 'DELETE FROM worker_pools WHERE id = $1';
/** The end of a process does not wait for a database that is slow, or gone without a word. */
const LEAVE_WAIT_MS = 1_000;

const GIVE_UP = `WITH pool AS (DELETE FROM worker_pools WHERE id = $1)
SELECT graphile_worker.force_unlock_workers(ARRAY[$1::text])`;

/**
 * Also pools that hold jobs without a row: they died before their first heartbeat, or took a job after
 * they had been given up.
 */
const UNLOCK_SILENT = `WITH silent AS (
  DELETE FROM worker_pools WHERE seen_at < clock_timestamp() - make_interval(secs => $1) RETURNING id
), unknown AS (
  SELECT DISTINCT locked_by AS id FROM graphile_worker._private_jobs j
  WHERE locked_at < clock_timestamp() - make_interval(secs => $1)
    AND NOT EXISTS (SELECT FROM worker_pools p WHERE p.id = j.locked_by)
), dead AS (SELECT array_agg(id) AS ids FROM (SELECT id FROM silent UNION SELECT id FROM unknown) AS pools)
SELECT ids, graphile_worker.force_unlock_workers(ids) FROM dead WHERE ids IS NOT NULL`;

/**
 * A job is locked under the id of the pool that does it, for 4 hours should its process die. So each
 * pool keeps a row alive under its id, and whoever finds one that went silent gives its jobs back.
 */
export class WorkerPools {
  private readonly logger = new Logger(WorkerPools.name);

  constructor(
    private readonly pool: Pool,
    private readonly timing: Timing,
  ) {}

  /** Resolves with `ended` after the signal, with `unlocked` when others have given this pool up. */
  async keepAlive(id: string, signal: AbortSignal): Promise<'ended' | 'unlocked'> {
    let isAnnounced = false;
    let wasHeard = false;
    while (!signal.aborted) {
      try {
        const { rowCount } = await this.pool.query(isAnnounced ? BEAT : ANNOUNCE, [id]);
        if (rowCount === 0) return 'unlocked';
        isAnnounced = true;
        // Who has just come back from a database that was away gives the others time to do so.
        if (wasHeard) await this.unlockSilent();
        wasHeard = true;
      } catch (error) {
        wasHeard = false;
        // Of an outage the listening connection tells, once.
        if (isDatabaseUnavailable(error)) this.logger.verbose('No heartbeat without the database');
        else this.logger.warn({ err: error }, 'A heartbeat failed');
      }
      await delay(this.timing.heartbeatMs, undefined, { signal }).catch(() => undefined);
    }
    // Else the others find out.
    const left = this.pool.query(LEAVE, [id]).catch(() => undefined);
    await Promise.race([left, delay(LEAVE_WAIT_MS, undefined, { ref: false })]);
    return 'ended';
  }

  /** Gives the jobs of a pool of this process back. */
  async giveUp(id: string): Promise<void> {
    await this.pool.query(GIVE_UP, [id]);
  }

  private async unlockSilent(): Promise<void> {
    const { rows } = await this.pool.query<{ ids: string[] }>(UNLOCK_SILENT, [
      this.timing.silenceMs / 1000,
    ]);
    for (const { ids } of rows) this.logger.warn({ pools: ids }, 'Silent workers were given up');
  }
}
