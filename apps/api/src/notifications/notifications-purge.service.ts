import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { Clock, DAY_MS } from '../platform/clock/clock.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { userByUser } from '../platform/database/in-batches.js';
import { Jobs, type ScheduledJob } from '../platform/jobs/jobs.js';
import { NotificationFeedRepository } from './notification-feed.repository.js';
import { NotificationFeedService } from './notification-feed.service.js';

const purgeJob: ScheduledJob = { name: 'purge_notifications', payload: z.object({}) };

/** Deletes what is too old for anybody to look for. */
@Injectable()
export class NotificationsPurge {
  private readonly logger = new Logger(NotificationsPurge.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly rows: NotificationFeedRepository,
    private readonly feed: NotificationFeedService,
    private readonly clock: Clock,
    jobs: Jobs,
  ) {
    jobs.handle(purgeJob, async () => void (await this.purge()));
    jobs.schedule(purgeJob, '30 3 * * *');
  }

  /** How many were older than NOTIFICATIONS_RETENTION_DAYS, read or not. User by user, in small transactions. */
  async purge(): Promise<number> {
    const before = this.clock.now() - this.config.notifications.retentionDays * DAY_MS;
    const notifications = await userByUser(
      (after, limit) => this.rows.listUsersWithOld(before, after, limit),
      (userId) => this.feed.deleteOlderThan(userId, before),
    );
    this.logger.log({ notifications }, 'Old notifications were deleted');
    return notifications;
  }
}
