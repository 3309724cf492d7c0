import {
  type AppSchema,
  appSchema,
  type ColumnSchema,
  type ColumnType,
  tableSchema,
  type TableSchemaSpec,
} from '@nozbe/watermelondb/Schema/index.js';
import {
  addColumns,
  createTable,
  type MigrationStep,
  schemaMigrations,
  type SchemaMigrations,
} from '@nozbe/watermelondb/Schema/migrations/index.js';
import type {
  PullResult,
  SyncSchema,
  SyncSchemaColumn,
  SyncSchemaTable,
} from '../generated/types.gen.js';

/** The raw records of each synced table. */
export type SyncedRecords = {
  [Table in keyof PullResult['changes']]: PullResult['changes'][Table]['updated'][number];
};

/** WatermelonDB's schema from the answer of `GET /sync/schema`, which belongs into the app's bundle. */
export function appSchemaFrom(schema: SyncSchema): AppSchema {
  const { version } = schema;
  const tables = schema.tables.map((table) => tableSchema(tableAt(table, version)));
  return appSchema({ version, tables });
}

/** WatermelonDB's migrations from version 1 to that of the schema. */
export function migrationsFrom(schema: SyncSchema): SchemaMigrations {
  const versions = Array.from({ length: schema.version - 1 }, (_, index) => index + 2);
  return schemaMigrations({
    migrations: versions.map((toVersion) => ({ toVersion, steps: stepsTo(schema, toVersion) })),
  });
}

function stepsTo({ tables }: SyncSchema, version: number): MigrationStep[] {
  return tables.flatMap((table): MigrationStep[] => {
    if (table.since === version) return [createTable(tableAt(table, version))];
    const columns = table.columns.filter(({ since }) => since === version).map(columnFrom);
    return columns.length > 0 ? [addColumns({ table: table.name, columns })] : [];
  });
}

/** The table as that version of the schema knew it. */
function tableAt({ name, columns }: SyncSchemaTable, version: number): TableSchemaSpec {
  return { name, columns: columns.filter(({ since }) => since <= version).map(columnFrom) };
}

function columnFrom(column: SyncSchemaColumn): ColumnSchema {
  const { name, isOptional, isIndexed } = column;
  return {
    name,
    type: typeOf(column),
    ...(isOptional && { isOptional }),
    ...(isIndexed && { isIndexed }),
  };
}

function typeOf({ name, type }: SyncSchemaColumn): ColumnType {
  switch (type) {
    case 'number':
    case 'boolean':
    case 'string':
      return type;
    case 'json':
      // WatermelonDB keeps JSON as its text.
      return 'string';
    default:
      throw new Error(`Update @rind/sdk: it does not know the type ${type} of the column ${name}`);
  }
}
