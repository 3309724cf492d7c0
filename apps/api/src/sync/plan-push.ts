import type { ColumnDefinition, ProblemFault, SyncTable } from '@rind/contracts';
import {
  type ColumnValue,
  defaultOf,
  type PreparedDelete,
  type PreparedPush,
  type PreparedRow,
  type PreparedTable,
} from './prepare-push.js';
import { pointerTo, type PushWarnings, type WarningCode } from './push-warnings.js';

/** A row of the database that a push meets. */
export interface FoundRow {
  /** Where the push names it: among its upserts, its deletes, or as a parent of an upsert. */
  readonly kind: 'upsert' | 'delete' | 'parent';
  /** Index of the table in the registry. */
  readonly table: number;
  readonly id: string;
  readonly isDeleted: boolean;
  /** Whether it changed after the client's cursor. */
  readonly isNewer: boolean;
  /** Its values of columns that clients may not update, where the table has such columns. */
  readonly protectedValues: Readonly<Record<string, ColumnValue>> | null;
}

export interface RowWrite {
  readonly id: string;
  readonly values: Readonly<Record<string, ColumnValue>>;
}

/** What a push writes to one table: each id in one list at most. */
export interface TableWrites {
  readonly table: SyncTable;
  /** Rows to create or update; a column that is missing keeps its value or gets its default. */
  readonly upserts: readonly RowWrite[];
  readonly deleteIds: readonly string[];
  /** Rows that change nothing but their version, so that the next pull tells the device of them. */
  readonly touchIds: readonly string[];
  /** Rows that never existed and are stored as deleted, so that the next pull removes them. */
  readonly buryIds: readonly string[];
}

export interface PushPlan {
  /** Records that changed on the server after the cursor: any one refuses the whole push. */
  readonly conflicts: readonly ProblemFault[];
  /** Tables with something to write. */
  readonly writes: readonly TableWrites[];
  /** Whether children may have to be deleted after the writes. */
  readonly mayCascade: boolean;
}

/** Whether rows of the table are to be looked up before they are written, to tell updates from creates. */
export function needsLookup(table: SyncTable): boolean {
  return (
    table.conflictPolicy === 'merge' ||
    !table.clientMay.create ||
    Object.values(table.columns).some((column) => writerOf(column) !== 'client')
  );
}

/** Names of the columns that clients may not update. */
export function protectedColumns(table: SyncTable): string[] {
  return Object.entries(table.columns)
    .filter(([, column]) => writerOf(column) !== 'client')
    .map(([name]) => name);
}

const writerOf = ({ writer = 'client' }: ColumnDefinition) => writer;

/** Decides what a push writes, given what it meets (protocol rules 24 to 28 and the table's access rules), and warns of what it refuses. */
export function planPush(
  push: PreparedPush,
  found: readonly FoundRow[],
  warnings: PushWarnings,
): PushPlan {
  const plans = push.tables.map((prepared, index) => {
    const plan = new TablePlan(
      prepared,
      found.filter((row) => row.table === index),
      warnings,
    );
    plan.run();
    return plan;
  });
  const writes = plans.map((plan) => plan.writes).filter(isNotEmpty);
  return {
    conflicts: plans.flatMap(({ conflicts }) => conflicts),
    writes,
    mayCascade:
      writes.some(({ deleteIds }) => deleteIds.length > 0) ||
      found.some(({ kind }) => kind === 'parent'),
  };
}

function isNotEmpty({ upserts, deleteIds, touchIds, buryIds }: TableWrites): boolean {
  return upserts.length + deleteIds.length + touchIds.length + buryIds.length > 0;
}

class TablePlan {
  readonly conflicts: ProblemFault[] = [];
  private readonly table: SyncTable;
  private readonly upserts: RowWrite[] = [];
  private readonly deleteIds: string[] = [];
  private readonly touchIds: string[] = [];
  private readonly buryIds: string[] = [];
  private readonly isLookedUp: boolean;

  constructor(
    private readonly prepared: PreparedTable,
    private readonly found: readonly FoundRow[],
    private readonly warnings: PushWarnings,
  ) {
    this.table = prepared.table;
    this.isLookedUp = needsLookup(this.table);
  }

  get writes(): TableWrites {
    const { table, upserts, deleteIds, touchIds, buryIds } = this;
    return { table, upserts, deleteIds, touchIds, buryIds };
  }

  run(): void {
    const existing = new Map(
      this.found.filter(({ kind }) => kind === 'upsert').map((row) => [row.id, row]),
    );
    for (const row of this.prepared.upserts) this.planUpsert(row, existing.get(row.id));
    const deletes = new Map(this.prepared.deletes.map((entry) => [entry.id, entry]));
    for (const row of this.found) {
      if (row.kind === 'delete') this.planDelete(deletes.get(row.id)!, row);
    }
  }

  private planUpsert(row: PreparedRow, existing: FoundRow | undefined): void {
    if (!existing) this.planAbsent(row);
    else if (existing.isDeleted) this.planDeleted(row, existing);
    else this.planLive(row, existing);
  }

  /** No row, or, in a table that is not looked up, none that matters: an upsert does either. */
  private planAbsent(row: PreparedRow): void {
    if (!this.isLookedUp) this.upserts.push(row);
    else if (this.table.clientMay.create) this.planCreate(row);
    else {
      this.warn('create_refused', row);
      // A create that came as an update may be a row that this server lost: its device keeps it.
      if (row.place.list === 'created') this.buryIds.push(row.id);
    }
  }

  private planDeleted(row: PreparedRow, existing: FoundRow): void {
    if (this.isMerge(row)) {
      this.warn('deleted_before', row);
      if (!existing.isNewer) this.touchIds.push(row.id);
    } else if (existing.isNewer) {
      this.conflict(row, existing);
    } else if (row.place.list === 'updated') {
      this.warn('deleted_before', row);
      this.touchIds.push(row.id);
    } else if (this.table.clientMay.create) {
      this.planCreate(row);
    } else {
      this.warn('create_refused', row);
      this.touchIds.push(row.id);
    }
  }

  private planLive(row: PreparedRow, existing: FoundRow): void {
    const isMerge = this.isMerge(row);
    if (existing.isNewer && !isMerge) {
      this.conflict(row, existing);
      return;
    }
    const named = isMerge
      ? row.changed.filter((name) => Object.hasOwn(row.values, name))
      : Object.keys(row.values);
    const values: Record<string, ColumnValue> = {};
    for (const name of named) {
      const value = row.values[name]!;
      if (writerOf(this.table.columns[name]!) === 'client') values[name] = value;
      // Named as changed, or different: the device shows something that it may not have changed.
      else if (isMerge || value !== existing.protectedValues?.[name])
        this.warn('update_refused', row, name);
    }
    if (Object.keys(values).length > 0) this.upserts.push({ id: row.id, values });
    else this.touchIds.push(row.id);
  }

  private planCreate(row: PreparedRow): void {
    const values: Record<string, ColumnValue> = {};
    for (const [name, value] of Object.entries(row.values)) {
      const column = this.table.columns[name]!;
      if (writerOf(column) !== 'server') values[name] = value;
      else if (value !== defaultOf(column)) this.warn('update_refused', row, name);
    }
    this.upserts.push({ id: row.id, values });
  }

  private planDelete(entry: PreparedDelete, existing: FoundRow): void {
    if (!this.table.clientMay.delete) {
      this.warn('delete_refused', entry);
      this.touchIds.push(entry.id);
    } else if (existing.isNewer) {
      this.conflict(entry, existing);
    } else {
      this.deleteIds.push(entry.id);
    }
  }

  /** An update that says what it changed, in a table that merges: it never conflicts. */
  private isMerge({ place, changed }: PreparedRow): boolean {
    return this.table.conflictPolicy === 'merge' && place.list === 'updated' && changed.length > 0;
  }

  private conflict({ id, place }: PreparedDelete, { isDeleted }: FoundRow): void {
    const { table } = this;
    const change = isDeleted ? 'deleted' : 'changed';
    this.conflicts.push({
      pointer: pointerTo({ table, place }),
      code: `${change}_on_server`,
      message: `${table.name} ${id} was ${change} on the server after lastPulledAt`,
    });
  }

  private warn(code: WarningCode, { id, place }: PreparedDelete, column?: string): void {
    const { table } = this;
    this.warnings.add(code, { table, id, place, ...(column !== undefined && { column }) });
  }
}
