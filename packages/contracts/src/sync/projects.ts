import type { SyncTable } from './table.js';

export const projects = {
  name: 'projects',
  recordName: 'Project',
  since: 1,
  conflictPolicy: 'reject',
  clientMay: { create: true, delete: true },
  columns: {
    name: { type: 'string', maxLength: 500 },
    description: { type: 'string', optional: true, maxLength: 100_000 },
    created_at: { type: 'number' },
    updated_at: { type: 'number' },
  },
} as const satisfies SyncTable;
