import {
  type AcceptedPushBody,
  type ColumnDefinition,
  recordIdPattern,
  type SyncTable,
  type TableChanges,
} from '@rind/contracts';
import { type Place, PushWarnings, type WarningCode } from './push-warnings.js';

/** A value of a column after repair, as it goes to PostgreSQL. */
export type ColumnValue = string | number | boolean | null;

export interface PreparedRow {
  readonly id: string;
  readonly place: Place;
  /** Only the columns that the record had. */
  readonly values: Readonly<Record<string, ColumnValue>>;
  /** Columns that the client says it changed; it leaves this empty on creates. */
  readonly changed: readonly string[];
}

export interface PreparedDelete {
  readonly id: string;
  readonly place: Place;
}

/** What a push asks of one table: each id once. */
export interface PreparedTable {
  readonly table: SyncTable;
  readonly upserts: readonly PreparedRow[];
  readonly deletes: readonly PreparedDelete[];
}

export interface PreparedPush {
  /** One entry for each table of the registry, in its order. */
  readonly tables: readonly PreparedTable[];
  readonly warnings: PushWarnings;
  /** Ids that cannot be stored, by table: their device keeps the only copy. */
  readonly rejectedIds: Readonly<Record<string, string[]>>;
}

/** The client's bookkeeping, sent with every record and never stored (protocol rule 23). */
const clientBookkeeping = new Set(['id', '_status', '_changed']);

/**
 * Turns a push into rows that can be stored (protocol rules 30 and 31): unknown tables and columns
 * are ignored, wrong types repaired as WatermelonDB's `sanitizedRaw` does it, and a record whose
 * content cannot be stored without loss is left out and named. Within a table each id counts once:
 * delete beats update beats create, and a later entry beats an earlier one.
 */
export function preparePush(
  registry: readonly SyncTable[],
  changes: AcceptedPushBody['changes'],
): PreparedPush {
  const warnings = new PushWarnings();
  warnOfUnknownTables(registry, changes, warnings);
  const rejectedIds: Record<string, string[]> = {};
  const tables = registry.map((table) => {
    const preparation = new TablePreparation(table, warnings);
    if (Object.hasOwn(changes, table.name)) preparation.add(changes[table.name]!);
    if (preparation.rejected.size > 0) rejectedIds[table.name] = [...preparation.rejected];
    return preparation.result;
  });
  return { tables, warnings, rejectedIds };
}

/** WatermelonDB sends every table of the app; those without changes are no mistake. */
function warnOfUnknownTables(
  registry: readonly SyncTable[],
  changes: AcceptedPushBody['changes'],
  warnings: PushWarnings,
): void {
  const known = new Set(registry.map(({ name }) => name));
  for (const [name, lists] of Object.entries(changes)) {
    const isUsed = Object.values(lists).some((list) => list.length > 0);
    if (isUsed && !known.has(name)) warnings.add('unknown_table', { table: { name } });
  }
}

class TablePreparation {
  readonly rejected = new Set<string>();
  private readonly upserts = new Map<string, PreparedRow>();
  private readonly deletes = new Map<string, PreparedDelete>();
  private readonly columns: ReadonlyArray<[string, ColumnDefinition]>;

  constructor(
    private readonly table: SyncTable,
    private readonly warnings: PushWarnings,
  ) {
    this.columns = Object.entries(table.columns);
  }

  get result(): PreparedTable {
    return {
      table: this.table,
      upserts: [...this.upserts.values()],
      deletes: [...this.deletes.values()],
    };
  }

  add(lists: TableChanges): void {
    for (const list of ['created', 'updated'] as const) {
      lists[list].forEach((record, index) => this.addRecord(record, { list, index }));
    }
    lists.deleted.forEach((id, index) => this.addDelete(id, { list: 'deleted', index }));
  }

  private addRecord(record: unknown, place: Place): void {
    const id = this.idOf(record, place);
    if (id === null) return;
    const raw = record as Readonly<Record<string, unknown>>;
    const values = this.valuesOf(raw, id, place);
    if (values === null) {
      // An earlier entry of this id must not win over the one that the device has now.
      this.upserts.delete(id);
      this.rejected.add(id);
      return;
    }
    this.rejected.delete(id);
    this.upserts.set(id, { id, place, values, changed: changedColumns(raw) });
  }

  private addDelete(id: unknown, place: Place): void {
    if (typeof id !== 'string' || !recordIdPattern.test(id)) {
      // No row can have it, so that there is nothing to delete and nothing to lose.
      this.warn('invalid_id', place);
      return;
    }
    this.upserts.delete(id);
    this.rejected.delete(id);
    this.deletes.set(id, { id, place });
  }

  private idOf(record: unknown, place: Place): string | null {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      this.warn('not_a_record', place);
      return null;
    }
    const id = 'id' in record ? record.id : undefined;
    if (typeof id === 'string' && recordIdPattern.test(id)) return id;
    this.warn('invalid_id', place, typeof id === 'string' ? id : null, 'id');
    if (typeof id === 'string') this.rejected.add(id);
    return null;
  }

  /** Null when the record cannot be stored without losing content. */
  private valuesOf(
    raw: Readonly<Record<string, unknown>>,
    id: string,
    place: Place,
  ): Record<string, ColumnValue> | null {
    const values: Record<string, ColumnValue> = {};
    for (const [name, column] of this.columns) {
      if (!Object.hasOwn(raw, name)) continue;
      const value = this.repaired(raw[name], column, (code) => this.warn(code, place, id, name));
      if (value === undefined) return null;
      values[name] = value;
    }
    for (const name of Object.keys(raw)) {
      if (Object.hasOwn(this.table.columns, name) || clientBookkeeping.has(name)) continue;
      this.warn('unknown_column', place, id, name);
    }
    return values;
  }

  /** Undefined when the value exceeds a declared limit. */
  private repaired(
    value: unknown,
    column: ColumnDefinition,
    warn: (code: WarningCode) => void,
  ): ColumnValue | undefined {
    const sanitized = sanitize(value, column);
    if (sanitized !== value && !isBooleanAsNumber(value, column)) warn('wrong_type');
    if (typeof sanitized !== 'string') return sanitized;
    if (column.maxLength !== undefined && sanitized.length > column.maxLength) {
      warn('too_long');
      return undefined;
    }
    if (column.type === 'json' && !isJson(sanitized)) warn('invalid_json');
    const storable = sanitized.replaceAll('\0', '').toWellFormed();
    if (storable !== sanitized) warn('unstorable_text');
    return storable;
  }

  private warn(code: WarningCode, place: Place, id: string | null = null, column?: string): void {
    const { table } = this;
    this.warnings.add(code, { table, place, id, ...(column !== undefined && { column }) });
  }
}

function changedColumns({ _changed: changed }: Readonly<Record<string, unknown>>): string[] {
  return typeof changed === 'string' && changed !== '' ? changed.split(',') : [];
}

/** WatermelonDB stores booleans as 0 and 1 in SQLite and may send them so. */
function isBooleanAsNumber(value: unknown, column: ColumnDefinition): boolean {
  return column.type === 'boolean' && (value === 0 || value === 1);
}

/** The empty text is what WatermelonDB stores where no value was set. */
function isJson(text: string): boolean {
  if (text === '') return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** WatermelonDB's `sanitizedRaw`, for one column. */
function sanitize(value: unknown, { type, optional }: ColumnDefinition): ColumnValue {
  switch (type) {
    case 'string':
    case 'json':
      return typeof value === 'string' ? value : optional ? null : '';
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (value === 0 || value === 1) return value === 1;
      return optional ? null : false;
    case 'number':
      // `|| 0` turns -0 into 0.
      return typeof value === 'number' && Number.isFinite(value) ? value || 0 : optional ? null : 0;
  }
}

/** What a column holds when nobody set it. */
export function defaultOf(column: ColumnDefinition): ColumnValue {
  return sanitize(undefined, column);
}
