import { Injectable } from '@nestjs/common';
import {
  type NotificationPreferences,
  type NotificationType,
  notificationTypes,
  type UpdateNotificationPreferencesBody,
} from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import { NotificationPreferencesRepository } from './notification-preferences.repository.js';

type ByType = NotificationPreferences['preferences'];

const types = Object.keys(notificationTypes) as NotificationType[];

/** Where users want to be told of what. */
@Injectable()
export class NotificationPreferencesService {
  constructor(
    private readonly database: Database,
    private readonly preferences: NotificationPreferencesRepository,
  ) {}

  /** Of every type there is. */
  async get(userId: string): Promise<ByType> {
    const chosen = new Map((await this.preferences.list(userId)).map((row) => [row.type, row]));
    const entries = types.map((type) => {
      const { channels, isSecurity } = notificationTypes[type];
      const { feed, mail } = chosen.get(type) ?? {};
      return [type, { feed: feed ?? channels.feed, mail: isSecurity || (mail ?? channels.mail) }];
    });
    return Object.fromEntries(entries) as ByType;
  }

  /** Nothing for a user who is gone. */
  async stopMail(userId: string, type: NotificationType): Promise<void> {
    await this.database.transaction(async () => {
      if (!(await this.preferences.holdUser(userId))) return;
      await this.preferences.set(userId, { type, mail: false });
    });
  }

  /** All or nothing; what is left out stays as it is, also beside a change at the same time. */
  async update(
    userId: string,
    changes: UpdateNotificationPreferencesBody['preferences'],
  ): Promise<ByType> {
    return this.database.transaction(async () => {
      // In one order, so that two changes at once do not deadlock.
      for (const type of types) {
        const chosen = changes[type];
        if (chosen) await this.preferences.set(userId, { type, ...chosen });
      }
      return this.get(userId);
    });
  }
}
