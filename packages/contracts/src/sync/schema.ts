import { z } from 'zod';
import { openEnum } from '../open-enum.js';
import type { ColumnDefinition, SyncTable } from './table.js';

const Column = z
  .object({
    name: z.string(),
    type: openEnum(['string', 'number', 'boolean', 'json']),
    isOptional: z.boolean(),
    isIndexed: z.boolean(),
    maxLength: z.int().nullable(),
    writer: openEnum(['client', 'create', 'server']),
    references: z.string().nullable(),
    since: z.int(),
  })
  .meta({ id: 'SyncSchemaColumn' });

const Table = z
  .object({
    name: z.string(),
    since: z.int().meta({ description: 'Schema version that introduced the table' }),
    conflictPolicy: openEnum(['reject', 'merge']),
    clientMay: z.object({ create: z.boolean(), delete: z.boolean() }),
    columns: z.array(Column),
  })
  .meta({ id: 'SyncSchemaTable' });

/** The synced tables, as clients need to know them: their own schema and its migrations follow from it. */
export const SyncSchema = z
  .object({
    version: z.int().meta({ description: "Newest version of the clients' schema" }),
    tables: z.array(Table),
  })
  .meta({ id: 'SyncSchema' });
export type SyncSchema = z.infer<typeof SyncSchema>;

/** Schema version that introduced a column. */
export const columnSince = (table: SyncTable, column: ColumnDefinition) =>
  column.since ?? table.since;

export function toSyncSchema(tables: readonly SyncTable[]): SyncSchema {
  const described = tables.map((table) => ({
    name: table.name,
    since: table.since,
    conflictPolicy: table.conflictPolicy,
    clientMay: { ...table.clientMay },
    columns: Object.entries(table.columns).map(([name, column]) => ({
      name,
      type: column.type,
      isOptional: column.optional ?? false,
      isIndexed: column.indexed ?? false,
      maxLength: column.maxLength ?? null,
      writer: column.writer ?? ('client' as const),
      references: column.references ?? null,
      since: columnSince(table, column),
    })),
  }));
  const versions = described.flatMap(({ since, columns }) => [
    since,
    ...columns.map((c) => c.since),
  ]);
  return { version: Math.max(1, ...versions), tables: described };
}
