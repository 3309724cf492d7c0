import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { DAY_MS } from '../platform/clock/clock.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import { inBatches, userByUser } from '../platform/database/in-batches.js';
import { Jobs, type ScheduledJob } from '../platform/jobs/jobs.js';
import { SyncRepository } from './sync.repository.js';

const purgeJob: ScheduledJob = { name: 'purge_sync', payload: z.object({}) };

/** Forgets deletions that every device in use has heard of. */
@Injectable()
export class TombstonesService {
  private readonly logger = new Logger(TombstonesService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly repository: SyncRepository,
    jobs: Jobs,
  ) {
    jobs.handle(purgeJob, async () => void (await this.purge()));
    jobs.schedule(purgeJob, '20 3 * * *');
  }

  /**
   * Deletes tombstones older than SYNC_TOMBSTONE_DAYS, user by user under the lock of the clock, and
   * raises its floor to the highest version that was deleted: a cursor below it gets the full data
   * set (hazard H9). Also forgets answers to pushes that can no longer be repeated.
   *
   * @returns how many rows were deleted
   */
  async purge(): Promise<{ tombstones: number; answers: number }> {
    const now = await this.repository.readDatabaseClock();
    const before = now - this.config.sync.tombstoneDays * DAY_MS;
    const tombstones = await userByUser(
      (after, limit) => this.repository.listUsersWithTombstones(before, after, limit),
      (userId) => this.purgeUser(userId, before),
    );
    const answers = await inBatches((limit) => this.repository.deleteOldAnswers(limit));
    this.logger.log({ tombstones, answers }, 'Old deletions were forgotten');
    return { tombstones, answers };
  }

  private async purgeUser(userId: string, before: number): Promise<number> {
    return this.database.sqlTransaction(async (sql) => {
      if (!(await this.repository.lockClock(sql, userId))) return 0;
      const { count, highest } = await this.repository.deleteTombstones(sql, userId, before);
      if (highest !== null) await this.repository.raiseFloor(sql, userId, highest);
      return count;
    });
  }
}
