import { Injectable } from '@nestjs/common';
import type { ListNotificationsQuery, Notification, Page } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { toPage } from '../platform/http/page-cursor.js';
import { SyncClocks } from '../sync/sync-clocks.js';
import { SyncService } from '../sync/sync.service.js';
import { NotificationFeedRepository } from './notification-feed.repository.js';
import { toNotification } from './notifications.mapper.js';

/** Rows of one transaction: one that has many holds up the user's devices as long as it takes. */
const BATCH = 500;

/** The feed for clients that do not sync it. All writes go through the sync engine. */
@Injectable()
export class NotificationFeedService {
  constructor(
    private readonly clocks: SyncClocks,
    private readonly database: Database,
    private readonly feed: NotificationFeedRepository,
    private readonly sync: SyncService,
  ) {}

  /** Newest first. */
  async list(userId: string, query: ListNotificationsQuery): Promise<Page<Notification>> {
    return toPage(await this.feed.list(userId, query), query.limit, toNotification);
  }

  async countUnread(userId: string): Promise<number> {
    return this.feed.countUnread(userId);
  }

  /** Once read, a notification keeps the time. @throws DomainError `not_found` */
  async read(userId: string, id: string): Promise<void> {
    await this.alone(userId, async () => {
      const row = await this.get(userId, id);
      if (row.isDeleted) throw notFound();
      if (row.readAt === null) await this.markRead(userId, [id]);
    });
  }

  /** All that were there when it was called. */
  async readAll(userId: string): Promise<void> {
    const until = Date.now();
    await this.inBatches(userId, async () => {
      const ids = await this.feed.listUnread(userId, { until, limit: BATCH });
      if (ids.length > 0) await this.markRead(userId, ids);
      return ids.length;
    });
  }

  /** Nothing for one that was deleted before. @throws DomainError `not_found` */
  async delete(userId: string, id: string): Promise<void> {
    await this.alone(userId, async () => {
      if (!(await this.get(userId, id)).isDeleted) await this.remove(userId, [id]);
    });
  }

  /** How many were older. Devices that were away learn of it, too: what goes leaves tombstones. */
  async deleteOlderThan(userId: string, before: number): Promise<number> {
    return this.inBatches(userId, async () => {
      const ids = await this.feed.listOld(userId, { before, limit: BATCH });
      if (ids.length > 0) await this.remove(userId, ids);
      return ids.length;
    });
  }

  private async get(userId: string, id: string) {
    const row = await this.feed.find(userId, id);
    if (!row) throw notFound();
    return row;
  }

  private async markRead(userId: string, ids: readonly string[]): Promise<void> {
    const readAt = Date.now();
    const updated = ids.map((id) => ({ id, read_at: readAt }));
    await this.sync.write(userId, { notifications: { updated } });
  }

  private async remove(userId: string, ids: readonly string[]): Promise<void> {
    await this.sync.write(userId, { notifications: { deleted: ids } });
  }

  /** Under the lock of the clock, so that what is read stays true until it is written. */
  private async alone<T>(userId: string, work: () => Promise<T>): Promise<T> {
    return this.database.transaction(async () => {
      await this.clocks.lock(userId);
      return work();
    });
  }

  private async inBatches(userId: string, work: () => Promise<number>): Promise<number> {
    let total = 0;
    for (;;) {
      const count = await this.alone(userId, work);
      total += count;
      if (count < BATCH) return total;
    }
  }
}

const notFound = () => new DomainError('not_found', { detail: 'There is no such notification' });
