import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from 'prom-client';
import { Clock, DAY_MS } from '../platform/clock/clock.js';
import { secondsSinceVersion } from '../platform/clock/version-age.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { Metrics } from '../platform/metrics/metrics.js';
import { pullKinds, type PullReport } from './pull-report.js';
import type { AppliedPush } from './push-report.js';
import { type PushWarnings, warningCodes } from './push-warnings.js';

/** Why a large pull got no answer. */
export type LargePullRefusal = (typeof refusals)[number];

const refusals = ['user_busy', 'connections_busy', 'spool_full'] as const;

/** From a device that a wake-up has reached to one that lay in a drawer. */
const LAG_SECONDS = [0.1, 0.5, 1, 5, 30, 60, 300, 3600, 86_400, 604_800];

/** Of a cursor before the newest version that there can be: clocks of machines differ, and were moved after a restore. */
const PLAUSIBLE_LEAD_MS = 2 * DAY_MS;

/** What operators may want to know of syncs. */
@Injectable()
export class SyncMetrics {
  private readonly pulls: Counter<'kind'>;
  private readonly pushes: Counter<'outcome'>;
  private readonly rows: Counter<'direction'>;
  private readonly lag: Histogram;
  private readonly reverted: Counter;
  private readonly rejected: Counter;
  private readonly repairs: Counter<'code'>;
  private readonly conflicts: Counter;
  private readonly cursorsAhead: Counter;
  private readonly largePullsRefused: Counter<'reason'>;

  constructor(
    metrics: Metrics,
    private readonly clock: Clock,
  ) {
    this.pulls = metrics.counter({
      name: 'rind_sync_pulls_total',
      help: 'Pulls whose answer was complete, by what was asked for',
      labelNames: ['kind'],
      labelValues: pullKinds,
    });
    this.pushes = metrics.counter({
      name: 'rind_sync_pushes_total',
      help: 'Pushes: applied, refused with a problem code, or failed',
      labelNames: ['outcome'],
    });
    this.rows = metrics.counter({
      name: 'rind_sync_rows_total',
      help: 'Records and deletions that were pulled, and those that pushes wrote',
      labelNames: ['direction'],
      labelValues: ['pulled', 'pushed'],
    });
    this.lag = metrics.histogram({
      name: 'rind_sync_lag_seconds',
      help: 'For how long the newest change had waited when a device pulled it',
      buckets: LAG_SECONDS,
    });
    this.reverted = metrics.counter({
      name: 'rind_sync_rows_reverted_total',
      help: 'Records of pushes that the client may not write, and that the next pull restores',
    });
    this.rejected = metrics.counter({
      name: 'rind_sync_rows_rejected_total',
      help: 'Records of pushes that were left out, and that stay on their device',
    });
    this.repairs = metrics.counter({
      name: 'rind_sync_repairs_total',
      help: 'What was repaired, ignored or refused in pushes, by the code of the warning',
      labelNames: ['code'],
      labelValues: warningCodes,
    });
    this.conflicts = metrics.counter({
      name: 'rind_sync_conflicts_total',
      help: 'Records of pushes that had changed on the server',
    });
    this.cursorsAhead = metrics.counter({
      name: 'rind_sync_cursors_ahead_total',
      help: 'Pulls with a cursor that this database has not given yet, but may give, as after a restored backup',
    });
    this.largePullsRefused = metrics.counter({
      name: 'rind_sync_large_pulls_refused_total',
      help: 'Large pulls that were told to come later',
      labelNames: ['reason'],
      labelValues: refusals,
    });
  }

  /** Of a finished report. */
  countPull({ kind, timestamp, updated, deleted }: PullReport): void {
    const rows = (updated ?? 0) + (deleted ?? 0);
    this.pulls.inc({ kind });
    this.rows.inc({ direction: 'pulled' }, rows);
    // The clock's version is the time of the newest change. What is pulled whole has not waited.
    if (kind !== 'incremental' || rows === 0 || timestamp === null) return;
    const seconds = secondsSinceVersion(timestamp, this.clock.now());
    if (seconds !== null) this.lag.observe(seconds);
  }

  /** Runs it, and counts how it ended. */
  async countPush(push: () => Promise<AppliedPush>): Promise<AppliedPush> {
    try {
      const applied = await push();
      const { written, deleted, reverted, rejected } = applied.report;
      this.pushes.inc({ outcome: 'applied' });
      this.rows.inc({ direction: 'pushed' }, written + deleted);
      this.reverted.inc(reverted);
      this.rejected.inc(rejected);
      return applied;
    } catch (error) {
      this.pushes.inc({ outcome: error instanceof DomainError ? error.code : 'failed' });
      throw error;
    }
  }

  countRepairs({ counts }: PushWarnings): void {
    for (const [code, count] of Object.entries(counts)) this.repairs.inc({ code }, count);
  }

  countConflicts(count: number): void {
    this.conflicts.inc(count);
  }

  /** Not one that no database can have given: whoever is signed in may send any. */
  countCursorAhead(cursor: number, clock: number): void {
    const newest = Math.max(clock, this.clock.now());
    if (cursor <= newest + PLAUSIBLE_LEAD_MS) this.cursorsAhead.inc();
  }

  countRefusedLargePull(reason: LargePullRefusal): void {
    this.largePullsRefused.inc({ reason });
  }
}
