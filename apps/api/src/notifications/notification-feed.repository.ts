import { Injectable } from '@nestjs/common';
import type { ListNotificationsQuery } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import type {
  Notification as NotificationRow,
  Prisma,
} from '../platform/database/generated/client.js';
import { idOfCursor } from '../platform/http/page-cursor.js';

/** Reads only: whoever writes goes through the sync engine. */
@Injectable()
export class NotificationFeedRepository {
  constructor(private readonly database: Database) {}

  /** Newest first, one more than the limit where there are more. */
  async list(
    userId: string,
    { cursor, limit, unread }: ListNotificationsQuery,
  ): Promise<NotificationRow[]> {
    return this.rows.findMany({
      where: {
        userId,
        isDeleted: false,
        ...(cursor !== undefined && { id: { lt: idOfCursor(cursor) } }),
        ...(unread !== undefined && { readAt: unread ? null : { not: null } }),
      },
      orderBy: { id: 'desc' },
      take: limit + 1,
    });
  }

  async countUnread(userId: string): Promise<number> {
    return this.rows.count({ where: { userId, isDeleted: false, readAt: null } });
  }

  /** A deleted one, too, as long as it is remembered. */
  async find(userId: string, id: string): Promise<NotificationRow | null> {
    return this.rows.findUnique({ where: { userId_id: { userId, id } } });
  }

  /** Ids of unread ones that were there at that time. */
  async listUnread(userId: string, { until, limit }: { until: number; limit: number }) {
    const where = { userId, isDeleted: false, readAt: null, createdAt: { lte: until } };
    return this.idsOf(where, limit);
  }

  async listOld(userId: string, { before, limit }: { before: number; limit: number }) {
    return this.idsOf({ userId, isDeleted: false, createdAt: { lt: before } }, limit);
  }

  /** In the order of their ids, behind `after`. */
  async listUsersWithOld(before: number, after: string | null, limit: number): Promise<string[]> {
    const rows = await this.database.prisma.$queryRaw<Array<{ userId: string }>>`
      SELECT c.user_id AS "userId" FROM sync_clocks c
      WHERE (${after}::uuid IS NULL OR c.user_id > ${after}::uuid) AND EXISTS (
        SELECT FROM notifications n
        WHERE n.user_id = c.user_id AND n.created_at < ${before} AND NOT n.is_deleted)
      ORDER BY c.user_id LIMIT ${limit}::int`;
    return rows.map(({ userId }) => userId);
  }

  private async idsOf(where: Prisma.NotificationWhereInput, take: number): Promise<string[]> {
    const rows = await this.rows.findMany({ where, select: { id: true }, take });
    return rows.map(({ id }) => id);
  }

  private get rows() {
    return this.database.prisma.notification;
  }
}
