import type { SyncTable } from '@rind/contracts';

const everything = { create: true, delete: true };

/** Refers to itself. */
export const folders: SyncTable = {
  name: 'folders',
  recordName: 'Folder',
  since: 1,
  conflictPolicy: 'reject',
  clientMay: everything,
  columns: {
    name: { type: 'string' },
    parent_id: { type: 'string', optional: true, references: 'folders' },
    cover_id: { type: 'string', optional: true, references: 'pictures' },
  },
};

/** Refers to folders, which refer back. */
export const pictures: SyncTable = {
  name: 'pictures',
  recordName: 'Picture',
  since: 1,
  conflictPolicy: 'reject',
  clientMay: everything,
  columns: { folder_id: { type: 'string', references: 'folders' } },
};

/** Written by the server; clients may mark as read and, here, not even delete. */
export const messages: SyncTable = {
  name: 'messages',
  recordName: 'Message',
  since: 1,
  conflictPolicy: 'merge',
  clientMay: { create: false, delete: false },
  columns: {
    title: { type: 'string', writer: 'server' },
    data: { type: 'json', writer: 'server' },
    read_at: { type: 'number', optional: true },
    pinned: { type: 'boolean' },
  },
};

/** Clients create these, set the kind once, and never the total. */
export const orders: SyncTable = {
  name: 'orders',
  recordName: 'Order',
  since: 1,
  conflictPolicy: 'merge',
  clientMay: everything,
  columns: {
    kind: { type: 'string', writer: 'create' },
    note: { type: 'string' },
    amount: { type: 'number' },
    total: { type: 'number', writer: 'server' },
  },
};
