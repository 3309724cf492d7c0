import { type CanActivate, Injectable, Logger } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { isDatabaseUnavailable } from '../platform/database/database-errors.js';
import { Database } from '../platform/database/database.js';
import { Notices, type QueryDirectly } from '../platform/database/notices.js';
import type { Statement } from '../platform/database/sql-transaction.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { Metrics } from '../platform/metrics/metrics.js';

/** A look takes milliseconds; what takes longer moves the clocks of very many users. */
const MAX_WAIT_MS = 2_000;
const RETRY_AFTER_SECONDS = 5;
/** Connections are made anew in less; what takes longer is an outage, which nobody should wait in. */
const SOON_MS = 5_000;

/** → `{ differences }` */
const readDifferences: Statement = {
  name: 'sync_marker_differences',
  text: 'SELECT sync_marker_differences() AS differences',
};

const DOUBT = 'The database is being put back from a backup, or was';
/** As `sync_mark_restored()` names it. */
const CHANNEL = 'rind_restored';

interface NoticedRestore {
  readonly differences: readonly string[];
  /** Null where nothing had to be done. */
  readonly clocks: string | null;
}

/**
 * Notices that the database was put back from a backup, or is another one, and does what devices need
 * then (`sync_mark_restored()` in the migrations) before anything is synced: a marker in the database
 * says which one it is. A false alarm, as after an upgrade of the server, does no harm: clocks go up, so
 * that every device asks once for what it has already.
 *
 * Looks on each new listening connection, and every few seconds, since tables can be made anew behind
 * connections that live. What is written between a restore and the look would get versions below what
 * devices have, and be missed for ever; so each writer looks as well, under the lock of the clock.
 */
@Injectable()
export class RestoredBackups {
  private readonly logger = new Logger(RestoredBackups.name);
  private readonly noticed: Counter;
  private isSettled = false;
  private unsettledSince = performance.now();
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly notices: Notices,
    private readonly database: Database,
    metrics: Metrics,
  ) {
    this.noticed = metrics.counter({
      name: 'rind_restores_noticed_total',
      help: 'Times that this process found a restored backup, or another database, and moved all clocks',
    });
    notices.beforeLive((query) => this.look(query));
    notices.on('proof', () => void this.lookAgain());
    notices.listenTo(CHANNEL);
    // Others forget what they knew of sessions as well. Who is not settled has done so, and may be who tells it.
    notices.on('notice', (channel) => {
      if (channel === CHANNEL && this.isSettled) notices.doubt(DOUBT);
    });
    metrics.gauge({
      name: 'rind_sync_settled',
      help: '1 while this process syncs, 0 while it does not know that the database is the one that devices know',
      read: () => [{ labels: {}, value: this.isSettled ? 1 : 0 }],
    });
    notices.on('gap', () => {
      if (this.isSettled) this.unsettledSince = performance.now();
      this.isSettled = false;
    });
  }

  /** Whether nothing has been synced for longer than it takes to make a connection. */
  get isHeldUp(): boolean {
    return !this.isSettled && performance.now() - this.unsettledSince > SOON_MS;
  }

  /**
   * Resolves when the database is known to be the one that devices got their cursors from, or clocks
   * were moved since: at once, but for a moment after the start and each loss of the listening connection.
   *
   * @throws DomainError `service_unavailable` when that takes longer, and at once when it has done so already
   */
  async settled(): Promise<void> {
    if (this.isSettled) return;
    if (this.isHeldUp) {
      throw new DomainError('service_unavailable', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const goOn = () => resolve(true);
    const timer = setTimeout(() => resolve(false), MAX_WAIT_MS);
    this.waiting.add(goOn);
    const isSettled = await promise;
    this.waiting.delete(goOn);
    clearTimeout(timer);
    if (isSettled) return;
    throw notSettled();
  }

  /** For who finds, under the lock of a clock, that the marker describes another database. Makes this process look. */
  refusal(): DomainError {
    this.notices.doubt(DOUBT);
    return notSettled();
  }

  private async look(query: QueryDirectly): Promise<void> {
    const [found] = await query<NoticedRestore>('SELECT * FROM sync_notice_restore()');
    const { differences, clocks } = found!;
    if (clocks !== null) {
      this.noticed.inc();
      this.logger.warn(
        { differences, clocks: Number(clocks) },
        'The database was restored from a backup, or is another one: all clocks were moved above what devices may have',
      );
    }
    this.isSettled = true;
    for (const goOn of this.waiting) goOn();
  }

  /** Through the pool, by which everything is synced. What is found is settled on a new connection. */
  private async lookAgain(): Promise<void> {
    try {
      const [row] = await this.database.run<{ differences: string[] }>(readDifferences, []);
      if (row!.differences.length === 0) return;
    } catch (error) {
      // What has no connection is looked at when it has one.
      if (isDatabaseUnavailable(error)) return;
    }
    this.notices.doubt(DOUBT);
  }
}

const notSettled = () =>
  new DomainError('service_unavailable', { retryAfterSeconds: RETRY_AFTER_SECONDS });

/** For routes that read or write what devices have. */
@Injectable()
export class SettledGuard implements CanActivate {
  constructor(private readonly backups: RestoredBackups) {}

  async canActivate(): Promise<boolean> {
    await this.backups.settled();
    return true;
  }
}
