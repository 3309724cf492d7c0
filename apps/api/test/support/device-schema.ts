import type { AppSchema } from '@nozbe/watermelondb/Schema/index.js';
import { appSchema, tableSchema } from '@nozbe/watermelondb/Schema/index.js';
import type { SchemaMigrations } from '@nozbe/watermelondb/Schema/migrations/index.js';
import { schemaMigrations } from '@nozbe/watermelondb/Schema/migrations/index.js';

/** What one release of an app knows about its database. */
export interface AppRelease {
  schema: AppSchema;
  migrations: SchemaMigrations;
}

/**
 * The first release, written out as an app developer would write it. Not derived from the server's
 * registry: a mistake there must not appear on both sides.
 */
export const firstRelease: AppRelease = {
  schema: appSchema({
    version: 1,
    tables: [
      tableSchema({
        name: 'projects',
        columns: [
          { name: 'name', type: 'string' },
          { name: 'description', type: 'string', isOptional: true },
          { name: 'created_at', type: 'number' },
          { name: 'updated_at', type: 'number' },
        ],
      }),
      tableSchema({
        name: 'tasks',
        columns: [
          { name: 'title', type: 'string' },
          { name: 'description', type: 'string', isOptional: true },
          { name: 'is_completed', type: 'boolean' },
          { name: 'project_id', type: 'string', isIndexed: true },
          { name: 'created_at', type: 'number' },
          { name: 'updated_at', type: 'number' },
        ],
      }),
      tableSchema({
        name: 'notifications',
        columns: [
          { name: 'type', type: 'string' },
          { name: 'title', type: 'string' },
          { name: 'body', type: 'string' },
          { name: 'data', type: 'string' },
          { name: 'read_at', type: 'number', isOptional: true },
          { name: 'created_at', type: 'number' },
        ],
      }),
    ],
  }),
  migrations: schemaMigrations({ migrations: [] }),
};
