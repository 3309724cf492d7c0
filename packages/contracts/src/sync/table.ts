/**
 * Glossary of sync: a *raw record* is a row as WatermelonDB sends and stores it, an object of
 * snake_case columns with a string `id`. A *tombstone* is a deleted row that is kept so that
 * other devices learn of the deletion. A *cursor* is the `timestamp` of a pull, sent back as
 * `lastPulledAt`. The *clock* is one user's change counter; a *version* is its value when a row
 * was last written.
 */

/**
 * Types of columns: those of WatermelonDB, and `json`, a string column there whose text is JSON.
 */
export type ColumnType = 'string' | 'number' | 'boolean' | 'json';

/** Who sets a column: the client; the client once, on create; or only the server. */
export type ColumnWriter = 'client' | 'create' | 'server';

export interface ColumnDefinition {
  readonly type: ColumnType;
  /** Whether the column may hold null. */
  readonly optional?: boolean;
  /** Limit of a text in UTF-16 code units, as JavaScript counts them. */
  readonly maxLength?: number;
  /** By default the client. What a client may not write is accepted and reverted. */
  readonly writer?: ColumnWriter;
  /** Name of the synced table whose id this column holds. Deleting the parent deletes this row. */
  readonly references?: string;
  /** Whether clients should index it in their own database. */
  readonly indexed?: boolean;
  /** Version of the client schema that introduced it; by default that of the table. */
  readonly since?: number;
}

/**
 * What happens to a record that changed on the server after the client's cursor. `reject`: the push
 * is refused with 409, and the client merges. `merge`: of an update that names the columns it
 * changed, just those are written.
 */
export type ConflictPolicy = 'reject' | 'merge';

/** A table that WatermelonDB apps sync. */
export interface SyncTable {
  /** Name in WatermelonDB and in PostgreSQL. */
  readonly name: string;
  /** One record of it, for the OpenAPI document: `Project`. */
  readonly recordName: string;
  /** Version of the client schema that introduced it. */
  readonly since: number;
  readonly conflictPolicy: ConflictPolicy;
  /** What clients may do with rows; what they may not is accepted and reverted. */
  readonly clientMay: { readonly create: boolean; readonly delete: boolean };
  readonly columns: Readonly<Record<string, ColumnDefinition>>;
}
