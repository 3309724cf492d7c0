import { notifications } from './notifications.js';
import { projects } from './projects.js';
import type { SyncTable } from './table.js';
import { tasks } from './tasks.js';

/**
 * Every synced table, parents before children. Validation, SQL and the OpenAPI document come from
 * this list; a test holds it against the Prisma schema and the migrated database.
 */
export const syncTables: readonly SyncTable[] = [projects, tasks, notifications];
