import { Module } from '@nestjs/common';
import { MailModule } from '../platform/mail/mail.module.js';
import { SyncModule } from '../sync/sync.module.js';
import { UsersModule } from '../users/users.module.js';
import { LiveFeed } from './live-feed.js';
import { NotificationEvents } from './notification-events.js';
import { NotificationFeedRepository } from './notification-feed.repository.js';
import { NotificationFeedService } from './notification-feed.service.js';
import { NotificationMails } from './notification-mails.service.js';
import { NotificationPreferencesRepository } from './notification-preferences.repository.js';
import { NotificationPreferencesService } from './notification-preferences.service.js';
import { NotificationsController } from './notifications.controller.js';
import { NotificationsPurge } from './notifications-purge.service.js';
import { NotificationsRepository } from './notifications.repository.js';
import { NotificationsService } from './notifications.service.js';
import { UnsubscribeTokens } from './unsubscribe-tokens.js';
import { UnsubscribeController } from './unsubscribe.controller.js';

@Module({
  imports: [MailModule, SyncModule, UsersModule],
  controllers: [NotificationsController, UnsubscribeController],
  providers: [
    LiveFeed,
    NotificationEvents,
    NotificationFeedRepository,
    NotificationFeedService,
    NotificationMails,
    NotificationPreferencesRepository,
    NotificationPreferencesService,
    NotificationsPurge,
    NotificationsRepository,
    NotificationsService,
    UnsubscribeTokens,
  ],
  exports: [NotificationEvents, NotificationPreferencesService, NotificationsService],
})
export class NotificationsModule {}
