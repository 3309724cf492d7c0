import type { SyncTable } from './table.js';

export const tasks = {
  name: 'tasks',
  recordName: 'Task',
  since: 1,
  conflictPolicy: 'reject',
  clientMay: { create: true, delete: true },
  columns: {
    title: { type: 'string', maxLength: 500 },
    description: { type: 'string', optional: true, maxLength: 100_000 },
    is_completed: { type: 'boolean' },
    project_id: { type: 'string', maxLength: 64, references: 'projects', indexed: true },
    created_at: { type: 'number' },
    updated_at: { type: 'number' },
  },
} as const satisfies SyncTable;
