import { z } from 'zod';
import { syncTables } from './registry.js';
import type { ColumnDefinition, SyncTable } from './table.js';

/** WatermelonDB's own generator makes 16 alphanumeric characters; others add `_`, `-` and `.`, or are UUIDs. */
export const recordIdPattern = /^[A-Za-z0-9_.-]{1,64}$/;

const RecordId = z.string().regex(recordIdPattern).meta({ example: 'kq3J9sZ1pXw0aB7c' });

function columnSchema(column: ColumnDefinition): z.ZodType {
  const schema = {
    string: () => (column.maxLength === undefined ? z.string() : z.string().max(column.maxLength)),
    number: () => z.number(),
    boolean: () => z.boolean(),
  }[column.type]();
  return column.optional ? schema.nullable() : schema;
}

function columns(table: SyncTable): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(table.columns).map(([name, column]) => [name, columnSchema(column)]),
  );
}

/** A record as a pull sends it: every column is there. */
const pulledRecord = (table: SyncTable) =>
  z.object({ id: RecordId, ...columns(table) }).meta({ id: `${table.recordName}Record` });

/** A record as a push may send it: missing columns keep their value, unknown ones are ignored. */
const pushedRecord = (table: SyncTable) =>
  z
    .looseObject({
      id: RecordId,
      ...Object.fromEntries(
        Object.entries(columns(table)).map(([name, schema]) => [name, schema.optional()]),
      ),
    })
    .meta({ id: `${table.recordName}PushRecord` });

function changesOf(record: (table: SyncTable) => z.ZodType, suffix: string) {
  return Object.fromEntries(
    syncTables.map((table) => {
      const rows = z.array(record(table));
      const changes = z
        .object({ created: rows, updated: rows, deleted: z.array(RecordId) })
        .meta({ id: `${table.recordName}${suffix}` });
      return [table.name, changes];
    }),
  );
}

/** Changes of an answer to a pull, by table. */
export const PulledChanges = z.object(changesOf(pulledRecord, 'PulledChanges'));

/** Changes of a well-formed push, by table; what the server accepts beyond it, it repairs. */
export const PushedChanges = z.object(changesOf(pushedRecord, 'PushedChanges')).partial();
