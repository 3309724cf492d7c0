import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { Database } from '../../database/database.js';
import { inBatches } from '../../database/in-batches.js';
import { Jobs, type ScheduledJob } from '../../jobs/jobs.js';

const purgeJob: ScheduledJob = { name: 'purge_rate_limits', payload: z.object({}) };

/** Counts of a window that is over; an hour is more than the clocks of two processes are apart. */
const DELETE_EXPIRED = {
  name: 'rate_limits_delete_expired',
  text: `DELETE FROM rate_limits WHERE key IN (
  SELECT key FROM rate_limits WHERE expire < (extract(epoch FROM now()) - 3600)::int8 * 1000
  ORDER BY expire LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1`,
};

/** Every address that ever asked leaves a row: hourly, so that a flood does not fill the disk. */
@Injectable()
export class RateLimitsPurge {
  private readonly logger = new Logger(RateLimitsPurge.name);

  constructor(
    private readonly database: Database,
    jobs: Jobs,
  ) {
    jobs.handle(purgeJob, () => this.purge());
    jobs.schedule(purgeJob, '40 * * * *');
  }

  private async purge(): Promise<void> {
    const rows = await inBatches(
      async (limit) => (await this.database.run(DELETE_EXPIRED, [limit])).length,
    );
    this.logger.log({ rows }, 'Rate limits of the past were forgotten');
  }
}
