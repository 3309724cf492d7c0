/**
 * Glossary of sync: a *raw record* is a row as WatermelonDB sends and stores it, an object of
 * snake_case columns with a string `id`. A *tombstone* is a deleted row that is kept so that
 * other devices learn of the deletion. A *cursor* is the `timestamp` of a pull, sent back as
 * `lastPulledAt`. The *clock* is one user's change counter; a *version* is its value when a row
 * was last written.
 */

/** Types of WatermelonDB columns. */
export type ColumnType = 'string' | 'number' | 'boolean';

export interface ColumnDefinition {
  readonly type: ColumnType;
  /** Whether the column may hold null. */
  readonly optional?: boolean;
  /** Limit of a string in UTF-16 code units, as JavaScript counts them. */
  readonly maxLength?: number;
  /** Name of the synced table whose id this column holds. Deleting the parent deletes this row. */
  readonly references?: string;
}

/** A table that WatermelonDB apps sync. */
export interface SyncTable {
  /** Name in WatermelonDB and in PostgreSQL. */
  readonly name: string;
  /** One record of it, for the OpenAPI document: `Project`. */
  readonly recordName: string;
  readonly columns: Readonly<Record<string, ColumnDefinition>>;
}
