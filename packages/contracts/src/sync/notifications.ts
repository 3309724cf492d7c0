import type { SyncTable } from './table.js';

/** The feed: written by the server; clients mark as read, and delete. */
export const notifications = {
  name: 'notifications',
  recordName: 'Notification',
  since: 1,
  conflictPolicy: 'merge',
  clientMay: { create: false, delete: true },
  columns: {
    type: { type: 'string', maxLength: 64, writer: 'server' },
    title: { type: 'string', maxLength: 500, writer: 'server' },
    body: { type: 'string', maxLength: 10_000, writer: 'server' },
    data: { type: 'json', maxLength: 10_000, writer: 'server' },
    read_at: { type: 'number', optional: true },
    created_at: { type: 'number', writer: 'server' },
  },
} as const satisfies SyncTable;
