import { z } from 'zod';
import { syncTables } from './registry.js';
import type { ColumnDefinition, SyncTable } from './table.js';

/** WatermelonDB's own generator makes 16 alphanumeric characters; others add `_`, `-` and `.`, or are UUIDs. */
export const recordIdPattern = /^[A-Za-z0-9_.-]{1,64}$/;

const RecordId = z.string().regex(recordIdPattern).meta({ example: 'kq3J9sZ1pXw0aB7c' });

function columnSchema({ type, maxLength, optional }: ColumnDefinition): z.ZodType {
  const text = () => (maxLength === undefined ? z.string() : z.string().max(maxLength));
  const schema = {
    string: text,
    number: () => z.number(),
    boolean: () => z.boolean(),
    json: () => text().meta({ contentMediaType: 'application/json' }),
  }[type]();
  return optional ? schema.nullable() : schema;
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

function changesOf(
  tables: readonly SyncTable[],
  record: (table: SyncTable) => z.ZodType,
  suffix: string,
) {
  return Object.fromEntries(
    tables.map((table) => {
      const rows = z.array(record(table));
      const changes = z
        .object({ created: rows, updated: rows, deleted: z.array(RecordId) })
        .meta({ id: `${table.recordName}${suffix}` });
      return [table.name, changes];
    }),
  );
}

/** Changes of an answer to a pull, by table. */
export const pulledChanges = (tables: readonly SyncTable[]) =>
  z.object(changesOf(tables, pulledRecord, 'PulledChanges'));

/** Changes of a well-formed push, by table; what the server accepts beyond it, it repairs. */
export const pushedChanges = (tables: readonly SyncTable[]) =>
  z.object(changesOf(tables, pushedRecord, 'PushedChanges')).partial();

export const PulledChanges = pulledChanges(syncTables);
export const PushedChanges = pushedChanges(syncTables);
