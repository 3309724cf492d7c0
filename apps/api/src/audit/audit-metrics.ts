import { Injectable } from '@nestjs/common';
import { type AuditAction, errorCodes } from '@rind/contracts';
import type { Counter } from 'prom-client';
import { Database } from '../platform/database/database.js';
import { Metrics } from '../platform/metrics/metrics.js';

interface CountedEvent {
  readonly action: AuditAction;
  /** A code: each one is a time series. */
  readonly reason?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** What operators may want to know of accounts: how many sign-ins, of which kind, and what is refused. */
@Injectable()
export class AuditMetrics {
  private readonly events: Counter<'action' | 'reason'>;
  private readonly factors: Counter<'factor'>;

  constructor(
    private readonly database: Database,
    metrics: Metrics,
  ) {
    this.events = metrics.counter({
      name: 'rind_audit_events_total',
      help: 'What happened to accounts, as in the audit log, with the code of the reason',
      labelNames: ['action', 'reason'],
      labelSets: Object.keys(errorCodes).map((reason) => ({ action: 'sign_in_refused', reason })),
    });
    this.factors = metrics.counter({
      name: 'rind_second_factors_total',
      help: 'Sign-ins that were finished by a second factor',
      labelNames: ['factor'],
    });
  }

  /** Once it is sure to have happened. */
  count({ action, reason = 'none', detail }: CountedEvent): void {
    const factor = detail?.['factor'];
    this.database.afterCommit(() => {
      this.events.inc({ action, reason });
      if (typeof factor === 'string') this.factors.inc({ factor });
    });
  }
}
