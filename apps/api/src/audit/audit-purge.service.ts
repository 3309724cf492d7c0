import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { Clock, DAY_MS } from '../platform/clock/clock.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { inBatches } from '../platform/database/in-batches.js';
import { Jobs, type ScheduledJob } from '../platform/jobs/jobs.js';
import { AuditRepository } from './audit.repository.js';

const purgeJob: ScheduledJob = { name: 'purge_audit', payload: z.object({}) };

/** Deletes events that nobody needs any more: what is personal must not be kept for longer than it serves. */
@Injectable()
export class AuditPurge {
  private readonly logger = new Logger(AuditPurge.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly repository: AuditRepository,
    private readonly clock: Clock,
    jobs: Jobs,
  ) {
    jobs.handle(purgeJob, () => this.purge());
    jobs.schedule(purgeJob, '50 3 * * *');
  }

  private async purge(): Promise<void> {
    const { retentionDays } = this.config.audit;
    if (retentionDays === null) return;
    const time = new Date(this.clock.now() - retentionDays * DAY_MS);
    const events = await inBatches((limit) => this.repository.deleteOlderThan(time, limit));
    this.logger.log({ events }, 'Old audit events were deleted');
  }
}
