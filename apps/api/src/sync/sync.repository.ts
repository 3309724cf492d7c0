import { Injectable } from '@nestjs/common';
import type { SyncTable } from '@rind/contracts';
import { Database, type SqlTransaction } from '../platform/database/database.js';
import type { PreparedPush, PreparedRow } from './prepare-push.js';
import {
  advanceClock,
  cascades,
  checkKind,
  checkPush,
  edges,
  lockClock,
  pull,
  readClock,
  writeStatements,
} from './sync-statements.js';

export interface ClockRow {
  readonly version: number;
  readonly floor: number;
  readonly timeline: string;
}

/** Index of the table, -1 for the clock; is_deleted; id; then the columns as text. */
export type PulledRow = readonly [number, boolean, string, ...Array<string | null>];

interface StateRow {
  readonly kind: 'state';
  readonly version: number;
  readonly floor: number;
  /** The database's clock in ms, read after the lock was granted. */
  readonly now: number;
  readonly isActive: boolean;
}

export interface FoundRow {
  readonly kind: 'upsert' | 'delete' | 'parent';
  /** Index in the registry. */
  readonly table: number;
  readonly id: string;
  readonly isDeleted: boolean;
  readonly isNewer: boolean;
}

/** What a push meets: the clock, whether its user and session still are, and the rows that matter. */
export interface PushSituation {
  readonly state: StateRow;
  readonly found: readonly FoundRow[];
}

/** What a push writes to one table. */
export interface TableWrites {
  readonly table: SyncTable;
  readonly upserts: readonly PreparedRow[];
  readonly deleteIds: readonly string[];
  readonly touchIds: readonly string[];
}

@Injectable()
export class SyncRepository {
  constructor(private readonly database: Database) {}

  async findClock(userId: string): Promise<ClockRow | null> {
    const rows = await this.database.run<ClockRow>(readClock, [userId]);
    return rows[0] ?? null;
  }

  /** Clock and rows in one snapshot. */
  async pull(userId: string, cursor: number, wholeTables: readonly string[]): Promise<PulledRow[]> {
    return this.database.run<PulledRow>(pull, [userId, cursor, wholeTables]);
  }

  /**
   * Locks the user's clock to the end of the transaction, then looks at what the push meets. Null
   * when the user is gone.
   */
  async meet(
    sql: SqlTransaction,
    subject: { userId: string; sessionId: string; cursor: number },
    push: PreparedPush,
  ): Promise<PushSituation | null> {
    const locked = await sql.run(lockClock, [subject.userId]);
    if (locked.length === 0) return null;
    const rows = await sql.run<StateRow | FoundRow>(checkPush, [
      subject.userId,
      subject.sessionId,
      subject.cursor,
      ...idsByTable(push),
    ]);
    const state = rows.find((row) => row.kind === checkKind.state);
    return state ? { state, found: rows.filter((row) => row.kind !== checkKind.state) } : null;
  }

  /** Upserts of all tables, then deletes; the lock of `meet` must be held. */
  async write(
    sql: SqlTransaction,
    userId: string,
    version: number,
    writes: readonly TableWrites[],
  ): Promise<void> {
    for (const { table, upserts } of writes) {
      const statements = writeStatements.get(table)!;
      const complete = upserts.filter((row) => row.isComplete);
      const partial = upserts.filter((row) => !row.isComplete);
      if (complete.length > 0)
        await sql.run(statements.upsertComplete, [userId, version, toJson(complete)]);
      if (partial.length > 0)
        await sql.run(statements.upsertPartial, [userId, version, toJson(partial)]);
    }
    for (const { table, deleteIds, touchIds } of writes) {
      const statements = writeStatements.get(table)!;
      if (deleteIds.length > 0) await sql.run(statements.markDeleted, [userId, version, deleteIds]);
      if (touchIds.length > 0)
        await sql.run(statements.touchTombstones, [userId, version, touchIds]);
    }
  }

  /** Deletes the children of what was deleted, and theirs, until nothing is left to delete. */
  async cascade(sql: SqlTransaction, userId: string, version: number): Promise<void> {
    let hasDeleted: boolean;
    do {
      hasDeleted = false;
      for (const statement of cascades) {
        const deleted = await sql.run(statement, [userId, version]);
        hasDeleted ||= deleted.length > 0;
      }
    } while (hasDeleted);
  }

  async advanceClock(sql: SqlTransaction, userId: string, version: number): Promise<void> {
    await sql.run(advanceClock, [userId, version]);
  }
}

function idsByTable({ tables }: PreparedPush): string[][] {
  return tables.flatMap(({ table, upserts, deletes }) => [
    upserts.map(({ id }) => id),
    deletes.map(({ id }) => id),
    referencedIds(table, tables),
  ]);
}

/** Ids of the table's rows that upserted rows of any table name as their parent. */
function referencedIds(parent: SyncTable, tables: PreparedPush['tables']): string[] {
  const ids = new Set<string>();
  for (const edge of edges) {
    if (edge.parent !== parent) continue;
    const children = tables.find(({ table }) => table === edge.child);
    for (const { values } of children?.upserts ?? []) {
      const id = values[edge.column];
      if (typeof id === 'string' && id !== '') ids.add(id);
    }
  }
  return [...ids];
}

function toJson(rows: readonly PreparedRow[]): string {
  return JSON.stringify(rows.map(({ id, values }) => ({ ...values, id })));
}
