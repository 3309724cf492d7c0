import { Injectable } from '@nestjs/common';
import { Metrics } from '../metrics/metrics.js';
import { SpoolLimits, Spools } from './spools.js';

/** What operators may want to know of answers that wait for their readers. */
@Injectable()
export class SpoolMetrics {
  constructor(metrics: Metrics, spools: Spools, limits: SpoolLimits) {
    metrics.gauges({
      gauges: {
        rind_spools: 'Large answers that are being read',
        rind_spool_bytes: 'What they hold together, in memory and in files',
        rind_spool_limit_bytes: 'What they may hold together',
      },
      read: async () => ({
        rind_spools: spools.count,
        rind_spool_bytes: spools.bytes,
        rind_spool_limit_bytes: limits.bytesPerProcess,
      }),
    });
  }
}
