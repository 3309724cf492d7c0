import { Module } from '@nestjs/common';
import { SyncModule } from '../sync/sync.module.js';
import { LiveFeed } from './live-feed.js';
import { NotificationEvents } from './notification-events.js';
import { NotificationFeedRepository } from './notification-feed.repository.js';
import { NotificationFeedService } from './notification-feed.service.js';
import { NotificationPreferencesRepository } from './notification-preferences.repository.js';
import { NotificationPreferencesService } from './notification-preferences.service.js';
import { NotificationsController } from './notifications.controller.js';
import { NotificationsRepository } from './notifications.repository.js';
import { NotificationsService } from './notifications.service.js';

@Module({
  imports: [SyncModule],
  controllers: [NotificationsController],
  providers: [
    LiveFeed,
    NotificationEvents,
    NotificationFeedRepository,
    NotificationFeedService,
    NotificationPreferencesRepository,
    NotificationPreferencesService,
    NotificationsRepository,
    NotificationsService,
  ],
  exports: [NotificationEvents, NotificationPreferencesService, NotificationsService],
})
export class NotificationsModule {}
