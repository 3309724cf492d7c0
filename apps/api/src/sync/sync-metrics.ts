import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { DomainError } from '../platform/errors/domain.error.js';
import { Metrics } from '../platform/metrics/metrics.js';
import type { PullReport } from './pull-report.js';
import type { AppliedPush } from './push-report.js';
import type { PushWarnings } from './push-warnings.js';

/** Why a large pull got no answer. */
export type LargePullRefusal = 'user_busy' | 'connections_busy' | 'spool_full';

/** What operators may want to know of syncs. */
@Injectable()
export class SyncMetrics {
  private readonly pulls: Counter<'kind'>;
  private readonly pushes: Counter<'outcome'>;
  private readonly rows: Counter<'direction'>;
  private readonly repairs: Counter<'code'>;
  private readonly conflicts: Counter;
  private readonly cursorsAhead: Counter;
  private readonly largePullsRefused: Counter<'reason'>;

  constructor(metrics: Metrics) {
    this.pulls = metrics.counter({
      name: 'rind_sync_pulls_total',
      help: 'Pulls whose answer was complete, by what was asked for',
      labelNames: ['kind'],
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
    });
    this.repairs = metrics.counter({
      name: 'rind_sync_repairs_total',
      help: 'What was repaired, ignored or refused in pushes, by the code of the warning',
      labelNames: ['code'],
    });
    this.conflicts = metrics.counter({
      name: 'rind_sync_conflicts_total',
      help: 'Records of pushes that had changed on the server',
    });
    this.cursorsAhead = metrics.counter({
      name: 'rind_sync_cursors_ahead_total',
      help: 'Pulls with a cursor that this database has not given yet, as after a restored backup',
    });
    this.largePullsRefused = metrics.counter({
      name: 'rind_sync_large_pulls_refused_total',
      help: 'Large pulls that were told to come later',
      labelNames: ['reason'],
    });
  }

  /** Of a finished report. */
  countPull({ kind, updated, deleted }: PullReport): void {
    this.pulls.inc({ kind });
    this.rows.inc({ direction: 'pulled' }, (updated ?? 0) + (deleted ?? 0));
  }

  /** Runs it, and counts how it ended. */
  async countPush(push: () => Promise<AppliedPush>): Promise<AppliedPush> {
    try {
      const applied = await push();
      this.pushes.inc({ outcome: 'applied' });
      this.rows.inc({ direction: 'pushed' }, applied.report.written + applied.report.deleted);
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

  countCursorAhead(): void {
    this.cursorsAhead.inc();
  }

  countRefusedLargePull(reason: LargePullRefusal): void {
    this.largePullsRefused.inc({ reason });
  }
}
