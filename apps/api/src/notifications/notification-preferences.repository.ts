import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';

/** What a user chose for one type; null or absent where they never did. */
export interface ChosenChannels {
  readonly type: string;
  readonly feed?: boolean | null | undefined;
  readonly mail?: boolean | null | undefined;
}

@Injectable()
export class NotificationPreferencesRepository {
  constructor(private readonly database: Database) {}

  async list(userId: string): Promise<ChosenChannels[]> {
    return this.database.prisma.notificationPreference.findMany({
      where: { userId },
      select: { type: true, feed: true, mail: true },
    });
  }

  /** To the end of the transaction, as a row that refers to them would; false when they are gone. */
  async holdUser(userId: string): Promise<boolean> {
    const rows = await this.database.prisma.$queryRaw<unknown[]>`
      SELECT FROM users WHERE id = ${userId}::uuid FOR KEY SHARE`;
    return rows.length > 0;
  }

  /** What is not given stays as it is. */
  async set(userId: string, { type, feed, mail }: ChosenChannels): Promise<void> {
    const chosen = { ...(feed !== undefined && { feed }), ...(mail !== undefined && { mail }) };
    await this.database.prisma.notificationPreference.upsert({
      where: { userId_type: { userId, type } },
      create: { userId, type, ...chosen },
      update: chosen,
    });
  }
}
