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

function listsOf(record: z.ZodType) {
  const rows = z.array(record);
  return z.object({ created: rows, updated: rows, deleted: z.array(RecordId) });
}

const byTable = <Schema extends z.ZodType>(schemaOf: (table: SyncTable) => Schema) =>
  Object.fromEntries(syncTables.map((table) => [table.name, schemaOf(table)]));

/** Changes of an answer to a pull, by table. */
export const PulledChanges = z.object(
  byTable((table) => listsOf(pulledRecord(table)).meta({ id: `${table.recordName}PulledChanges` })),
);

/** Changes of a well-formed push, by table; what the server accepts beyond it, it repairs. */
export const PushedChanges = z
  .object(
    byTable((table) =>
      listsOf(pushedRecord(table))
        .partial()
        .meta({ id: `${table.recordName}PushedChanges` }),
    ),
  )
  .partial();
