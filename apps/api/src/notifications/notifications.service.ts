import { Injectable } from '@nestjs/common';
import {
  type Language,
  type NewNotification,
  type Notification,
  type NotificationType,
  notificationTypes,
} from '@rind/contracts';
import { v7 as uuidv7 } from 'uuid';
import type { z } from 'zod';
import { Database } from '../platform/database/database.js';
import { SyncService } from '../sync/sync.service.js';
import { NotificationEvents } from './notification-events.js';
import { NotificationsRepository } from './notifications.repository.js';

/** Tells users what happened. */
@Injectable()
export class NotificationsService {
  constructor(
    private readonly database: Database,
    private readonly events: NotificationEvents,
    private readonly notifications: NotificationsRepository,
    private readonly sync: SyncService,
  ) {}

  /**
   * Tells a user where they want to be told, in their language. Joins the current transaction: what
   * happened and the notification of it are committed together. It locks the user's clock to the
   * end, so rows of users and sessions that the transaction locks, too, are to be locked before, and
   * several users are told in the order of their ids. Does nothing for a user who is gone.
   *
   * @throws Error for data that the type does not know: a defect of the caller
   */
  async notify<Type extends NotificationType>(
    userId: string,
    { type, data }: NewNotification<Type>,
  ): Promise<void> {
    const { channels, texts, data: schema } = notificationTypes[type] as AnyType;
    const known = schema.parse(data) as Record<string, unknown>;
    await this.database.sqlTransaction(async () => {
      const addressee = await this.notifications.holdAddressee(userId, type);
      if (!addressee) return;
      const wording = texts[addressee.language](known);
      if (addressee.feed ?? channels.feed) {
        await this.addToFeed(userId, { type, ...wording, data: known });
      }
    });
  }

  private async addToFeed(
    userId: string,
    content: Pick<Notification, 'type' | 'title' | 'body' | 'data'>,
  ): Promise<void> {
    const id = uuidv7();
    const now = Date.now();
    const record = {
      id,
      ...content,
      data: JSON.stringify(content.data),
      read_at: null,
      created_at: now,
    };
    await this.sync.write(userId, { notifications: { created: [record] } });
    const createdAt = new Date(now).toISOString();
    const notification = { id, ...content, readAt: null, createdAt };
    this.database.afterCommit(() => this.events.emit('created', { userId, notification }));
  }
}

/** Any type of the table, where the compiler has held the data against its own already. */
interface AnyType {
  readonly data: z.ZodType;
  readonly channels: { readonly feed: boolean; readonly mail: boolean };
  readonly texts: Readonly<Record<Language, (data: unknown) => { title: string; body: string }>>;
}
