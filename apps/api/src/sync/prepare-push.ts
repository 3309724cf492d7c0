import {
  type AcceptedPushBody,
  type ColumnDefinition,
  type PushWarning,
  recordIdPattern,
  type SyncTable,
  syncTables,
} from '@rind/contracts';

/** A value of a column after repair, as it goes to PostgreSQL. */
type ColumnValue = string | number | boolean | null;

export interface PreparedRow {
  readonly id: string;
  readonly list: 'created' | 'updated';
  readonly pointer: string;
  /** Only the columns that the record had. */
  readonly values: Readonly<Record<string, ColumnValue>>;
  readonly isComplete: boolean;
}

export interface PreparedDelete {
  readonly id: string;
  readonly pointer: string;
}

/** What a push asks of one table: each id once. */
export interface PreparedTable {
  readonly table: SyncTable;
  readonly upserts: readonly PreparedRow[];
  readonly deletes: readonly PreparedDelete[];
}

export type PointedWarning = PushWarning & { readonly pointer: string };

export interface PreparedPush {
  readonly tables: readonly PreparedTable[];
  readonly warnings: readonly PointedWarning[];
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
export function preparePush({ changes }: AcceptedPushBody): PreparedPush {
  const warnings: PointedWarning[] = [];
  const rejectedIds: Record<string, string[]> = {};
  for (const [name, lists] of Object.entries(changes)) {
    const isUsed = lists.created.length + lists.updated.length + lists.deleted.length > 0;
    if (isUsed && !syncTables.some((table) => table.name === name)) {
      warnings.push({
        table: name,
        id: null,
        code: 'unknown_table',
        message: 'This table is not synced; its changes are ignored',
        pointer: `/changes/${name}`,
      });
    }
  }
  const tables = syncTables.map((table) => {
    const preparation = new TablePreparation(table, warnings);
    const lists = Object.hasOwn(changes, table.name) ? changes[table.name] : undefined;
    for (const list of ['created', 'updated'] as const) {
      lists?.[list].forEach((record, index) => preparation.addRecord(record, list, index));
    }
    lists?.deleted.forEach((id, index) => preparation.addDelete(id, index));
    if (preparation.rejected.size > 0) rejectedIds[table.name] = [...preparation.rejected];
    return preparation.result;
  });
  return { tables, warnings, rejectedIds };
}

class TablePreparation {
  readonly rejected = new Set<string>();
  private readonly upserts = new Map<string, PreparedRow>();
  private readonly deletes = new Map<string, PreparedDelete>();
  private readonly columns: ReadonlyArray<[string, ColumnDefinition]>;

  constructor(
    private readonly table: SyncTable,
    private readonly warnings: PointedWarning[],
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

  addRecord(record: unknown, list: 'created' | 'updated', index: number): void {
    const pointer = `/changes/${this.table.name}/${list}/${index}`;
    const id = this.idOf(record, pointer);
    if (id === null) return;
    const raw = record as Readonly<Record<string, unknown>>;
    const values = this.valuesOf(raw, id, pointer);
    if (values === null) {
      // An earlier entry of this id must not win over the one that the device has now.
      this.upserts.delete(id);
      this.rejected.add(id);
      return;
    }
    this.rejected.delete(id);
    this.upserts.set(id, {
      id,
      list,
      pointer,
      values,
      isComplete: Object.keys(values).length === this.columns.length,
    });
  }

  addDelete(id: unknown, index: number): void {
    const pointer = `/changes/${this.table.name}/deleted/${index}`;
    if (typeof id !== 'string' || !recordIdPattern.test(id)) {
      this.warn(pointer, null, 'invalid_id', 'No record can have this id; the deletion is ignored');
      return;
    }
    this.upserts.delete(id);
    this.rejected.delete(id);
    this.deletes.set(id, { id, pointer });
  }

  private idOf(record: unknown, pointer: string): string | null {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      this.warn(pointer, null, 'not_a_record', 'Expected an object; it is left out');
      return null;
    }
    const id = 'id' in record ? record.id : undefined;
    if (typeof id === 'string' && recordIdPattern.test(id)) return id;
    this.warn(
      `${pointer}/id`,
      typeof id === 'string' ? id.slice(0, 64) : null,
      'invalid_id',
      'An id has 1 to 64 characters of A-Z a-z 0-9 _ . -; the record is left out',
    );
    if (typeof id === 'string') this.rejected.add(id);
    return null;
  }

  /** Null when the record cannot be stored without losing content. */
  private valuesOf(
    raw: Readonly<Record<string, unknown>>,
    id: string,
    pointer: string,
  ): Record<string, ColumnValue> | null {
    const values: Record<string, ColumnValue> = {};
    for (const [name, column] of this.columns) {
      if (!Object.hasOwn(raw, name)) continue;
      const value = this.repaired(raw[name], column, { id, name, pointer: `${pointer}/${name}` });
      if (value === undefined) return null;
      values[name] = value;
    }
    for (const name of Object.keys(raw)) {
      if (Object.hasOwn(this.table.columns, name) || clientBookkeeping.has(name)) continue;
      this.warn(
        `${pointer}/${name}`,
        id,
        'unknown_column',
        'The table has no such column; it is ignored',
        name,
      );
    }
    return values;
  }

  /** Undefined when the value exceeds a declared limit. */
  private repaired(
    value: unknown,
    column: ColumnDefinition,
    { id, name, pointer }: { id: string; name: string; pointer: string },
  ): ColumnValue | undefined {
    const sanitized = sanitize(value, column);
    if (sanitized !== value && !isBooleanAsNumber(value, column)) {
      this.warn(
        pointer,
        id,
        'wrong_type',
        `Expected ${describe(column)}; ${JSON.stringify(sanitized)} is stored`,
        name,
      );
    }
    if (typeof sanitized !== 'string') return sanitized;
    if (column.maxLength !== undefined && sanitized.length > column.maxLength) {
      this.warn(
        pointer,
        id,
        'too_long',
        `Longer than ${column.maxLength} characters; the record is left out`,
        name,
      );
      return undefined;
    }
    const storable = sanitized.replaceAll('\0', '').toWellFormed();
    if (storable !== sanitized) {
      this.warn(
        pointer,
        id,
        'unstorable_text',
        'NUL characters and lone surrogates are removed',
        name,
      );
    }
    return storable;
  }

  private warn(
    pointer: string,
    id: string | null,
    code: PushWarning['code'],
    message: string,
    column?: string,
  ): void {
    this.warnings.push({
      table: this.table.name,
      id,
      ...(column !== undefined && { column }),
      code,
      message,
      pointer,
    });
  }
}

/** WatermelonDB stores booleans as 0 and 1 in SQLite and may send them so. */
function isBooleanAsNumber(value: unknown, column: ColumnDefinition): boolean {
  return column.type === 'boolean' && (value === 0 || value === 1);
}

function describe({ type, optional }: ColumnDefinition): string {
  return optional ? `${type} or null` : type;
}

/** WatermelonDB's `sanitizedRaw`, for one column. */
function sanitize(value: unknown, { type, optional }: ColumnDefinition): ColumnValue {
  switch (type) {
    case 'string':
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
