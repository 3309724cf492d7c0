import { EventEmitter } from 'node:events';
import { Injectable } from '@nestjs/common';
import type { Notification } from '@rind/contracts';
import type { RowWrite, TableWrites } from '../sync/plan-push.js';
import { type SyncChange, SyncEvents } from '../sync/sync-events.js';

export interface NotificationCreated {
  readonly userId: string;
  readonly notification: Notification;
}

/** By whomever: another device, this API, or the purge. */
export interface NotificationsUpdated {
  readonly userId: string;
  readonly change: 'read' | 'unread' | 'deleted';
  readonly ids: readonly string[];
}

/** Tells of the feed after what it tells of was committed. */
@Injectable()
export class NotificationEvents extends EventEmitter<{
  created: [NotificationCreated];
  updated: [NotificationsUpdated];
}> {
  constructor(sync: SyncEvents) {
    super();
    sync.on('changed', (change) => this.announce(change));
  }

  private announce({ userId, writes }: SyncChange): void {
    const written = writes.find(({ table }) => table.name === 'notifications');
    if (!written) return;
    for (const [change, ids] of changesOf(written)) {
      if (ids.length > 0) this.emit('updated', { userId, change, ids });
    }
  }
}

function changesOf({ upserts, deleteIds }: TableWrites) {
  const idsOf = (rows: readonly RowWrite[]) => rows.map(({ id }) => id);
  // With a type they are new, and `created` tells of them.
  const marked = upserts.filter(({ values }) => !('type' in values));
  return [
    ['read', idsOf(marked.filter(({ values }) => values['read_at'] !== null))],
    ['unread', idsOf(marked.filter(({ values }) => values['read_at'] === null))],
    ['deleted', deleteIds],
  ] as const;
}
