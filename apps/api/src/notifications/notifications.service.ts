import { Injectable } from '@nestjs/common';
import {
  type NewNotification,
  type Notification,
  type NotificationType,
  notificationTypes,
} from '@rind/contracts';
import { v7 as uuidv7 } from 'uuid';
import { Database } from '../platform/database/database.js';
import { SyncService } from '../sync/sync.service.js';
import { NotificationEvents } from './notification-events.js';
import { NotificationMails } from './notification-mails.service.js';
import { NotificationsRepository } from './notifications.repository.js';
import { wordingOf } from './wording.js';

/** Tells users what happened. */
@Injectable()
export class NotificationsService {
  constructor(
    private readonly database: Database,
    private readonly events: NotificationEvents,
    private readonly mails: NotificationMails,
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
    const { channels, isSecurity, data: schema } = notificationTypes[type];
    const known: Record<string, unknown> = schema.parse(data);
    await this.database.sqlTransaction(async () => {
      const addressee = await this.notifications.holdAddressee(userId, type);
      if (!addressee) return;
      const { language, feed, mail } = addressee;
      if (isSecurity || (mail ?? channels.mail)) {
        await this.mails.add({ userId, type, language, data: known });
      }
      if (feed ?? channels.feed) {
        await this.addToFeed(userId, { type, ...wordingOf(type, language, known), data: known });
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
