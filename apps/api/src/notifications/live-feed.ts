import { Injectable } from '@nestjs/common';
import { MAX_UPDATED_NOTIFICATIONS } from '@rind/contracts';
import { Realtime } from '../platform/realtime/realtime.js';
import { NotificationEvents } from './notification-events.js';

/** Tells a user's open sockets what happens to the feed. Whoever has none finds it there. */
@Injectable()
export class LiveFeed {
  constructor(
    events: NotificationEvents,
    private readonly realtime: Realtime,
  ) {
    events.on('created', ({ userId, notification }) => {
      this.realtime.emit({ userId, exceptSessionId: null }, 'notification:created', {
        notification,
      });
    });
    events.on('updated', ({ userId, change, ids }) => {
      for (let start = 0; start < ids.length; start += MAX_UPDATED_NOTIFICATIONS) {
        this.realtime.emit({ userId, exceptSessionId: null }, 'notification:updated', {
          change,
          ids: ids.slice(start, start + MAX_UPDATED_NOTIFICATIONS),
        });
      }
    });
  }
}
