import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { Metrics } from '../platform/metrics/metrics.js';

/**
 * What became of a genuine refresh token: a new one came, or, since the answer before may have been
 * lost, the same one again; or it was too old, and the session ended.
 */
type RefreshOutcome = (typeof outcomes)[number];

const outcomes = ['rotated', 'repeated', 'reused'] as const;

@Injectable()
export class RefreshMetrics {
  private readonly refreshes: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.refreshes = metrics.counter({
      name: 'rind_refreshes_total',
      help: 'Refreshes with a genuine token',
      labelNames: ['outcome'],
      labelValues: outcomes,
    });
  }

  count(outcome: RefreshOutcome): void {
    this.refreshes.inc({ outcome });
  }
}
