import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { PushResult, SyncTable } from '@rind/contracts';
import DataLoader from 'dataloader';
import { Database } from '../platform/database/database.js';
import type { SqlTransaction, Statement } from '../platform/database/sql-transaction.js';
import type { FoundRow, RowWrite, TableWrites } from './plan-push.js';
import type { PreparedPush } from './prepare-push.js';
import { RestoredBackups } from './restored-backups.js';
import { SyncStatements } from './sync-statements.js';
import { InjectSyncTables } from './sync-tables.module.js';

export interface ClockRow {
  readonly version: number;
  readonly floor: number;
  readonly timeline: string;
}

/** Index of the table, -1 for the clock; is_deleted; id; then the columns as text. See `SyncStatements.pull`. */
export type PulledRow = readonly [number, boolean, string, ...Array<string | null>];

interface StateRow {
  readonly kind: 'state';
  readonly version: number;
  readonly floor: number;
  /** The database's clock in ms, read after the lock was granted. */
  readonly now: number;
  /** Whether the user is active and the session is alive. */
  readonly isSignedIn: boolean;
}

/** Instead of what else there is to be found: the marker describes another database than this one. */
interface RestoredRow {
  readonly kind: 'restored';
}

/** The state that a large pull is answered from. Streams have the text form of COPY. */
export interface PullSnapshot {
  /** Null when the user is gone. */
  readonly clock: ClockRow | null;
  /** Live rows of a table that are newer than the version: id, then the columns. */
  readonly copyUpdated: (table: SyncTable, after: number, signal: AbortSignal) => Readable;
  /** Ids of tombstones. */
  readonly copyDeleted: (table: SyncTable, after: number, signal: AbortSignal) => Readable;
}

/** Who pushes, and what their device has seen. */
export interface PushSubject {
  readonly userId: string;
  /** Null for the server itself. */
  readonly sessionId: string | null;
  readonly cursor: number;
}

/** What a push meets: the clock, whether its user and session still are, and the rows that matter. */
export interface PushSituation {
  readonly state: StateRow;
  readonly found: readonly FoundRow[];
  /** What this very push was answered within the last day. */
  readonly answer: PushResult | null;
}

/** What a push leaves behind. */
export interface PushWrites {
  readonly writes: readonly TableWrites[];
  /** Whether children may have to be deleted. */
  readonly mayCascade: boolean;
  /** To be remembered for a repeat of the push with this digest; null for a push that may be repeated. */
  readonly answer: { readonly digest: Buffer; readonly result: PushResult } | null;
}

@Injectable()
export class SyncRepository {
  private readonly statements: SyncStatements;
  private readonly clocks = new DataLoader<string, ClockRow | null>(
    (userIds) => this.readClocks(userIds),
    { cache: false, batchScheduleFn: setImmediate },
  );

  constructor(
    private readonly database: Database,
    private readonly backups: RestoredBackups,
    @InjectSyncTables() private readonly tables: readonly SyncTable[],
  ) {
    this.statements = new SyncStatements(tables);
  }

  /**
   * Asked by every pull, and all that most pulls ask: what comes in one turn of the event loop is read
   * in one statement, outside of any transaction.
   */
  findClock(userId: string): Promise<ClockRow | null> {
    return this.clocks.load(userId);
  }

  /** Clock and rows in one snapshot; of more rows than `SMALL_PULL_ROWS` none, which the clock tells. */
  async pull(userId: string, cursor: number, wholeTables: readonly string[]): Promise<PulledRow[]> {
    const after = this.tables.map(({ name }) => (wholeTables.includes(name) ? 0 : cursor));
    return this.database.run<PulledRow>(this.statements.pull, [userId, cursor, ...after]);
  }

  /** One state of the user's rows, on a connection that is kept until the work is done. */
  async snapshot<T>(userId: string, work: (snapshot: PullSnapshot) => Promise<T>): Promise<T> {
    const { readClock } = this.statements;
    return this.database.snapshot(async (snapshot) => {
      const [clock = null] = await snapshot.run<ClockRow>(readClock, [userId]);
      return work({
        clock,
        copyUpdated: (table, after, signal) =>
          snapshot.copy(this.statements.copyUpdated(table, userId, after), signal),
        copyDeleted: (table, after, signal) =>
          snapshot.copy(this.statements.copyDeleted(table, userId, after), signal),
      });
    });
  }

  /** Locks the user's clock to the end of the transaction; false when the user is gone. */
  async lockClock(sql: SqlTransaction, userId: string): Promise<boolean> {
    const locked = await sql.run(this.statements.lockClock, [userId]);
    return locked.length > 0;
  }

  /**
   * Locks the user's clock to the end of the transaction, then reads what a push meets: statements of
   * their own, each of which sees what was committed before it began, in one round trip. Null when
   * the user is gone.
   *
   * @throws DomainError `service_unavailable` when the database was put back from a backup just now
   */
  async meet(
    sql: SqlTransaction,
    { userId, sessionId, cursor }: PushSubject,
    push: PreparedPush,
    digest: Buffer | null,
  ): Promise<PushSituation | null> {
    const ids = this.idsByTable(push);
    const [locked, answers, rows] = await Promise.all([
      sql.run(this.statements.lockClock, [userId]),
      digest ? sql.run<{ answer: PushResult }>(this.statements.findAnswer, [userId, digest]) : [],
      sql.run<StateRow | RestoredRow | FoundRow>(this.statements.checkPush, [
        userId,
        sessionId,
        cursor,
        ...ids,
      ]),
    ]);
    if (rows.some(({ kind }) => kind === 'restored')) throw this.backups.refusal();
    const state = rows.find((row) => row.kind === 'state');
    if (locked.length === 0 || !state) return null;
    return {
      state,
      found: rows.filter((row) => row.kind !== 'state' && row.kind !== 'restored'),
      answer: answers[0]?.answer ?? null,
    };
  }

  /**
   * Upserts of all tables, then deletes, then what follows from them, and the clock. The lock of the
   * clock must be held. Nothing of it is waited for: it goes to the database together with the commit.
   */
  async write(
    sql: SqlTransaction,
    userId: string,
    version: number,
    { writes, mayCascade, answer }: PushWrites,
  ): Promise<void> {
    const { cascade, advanceClock, saveAnswer } = this.statements;
    for (const [statement, value] of this.statementsOf(writes)) {
      sql.send(statement, [userId, version, value]);
    }
    // Deletes the descendants of what this version deleted, and children that came too late.
    if (mayCascade && cascade) sql.send(cascade, [userId, version]);
    sql.send(advanceClock, [userId, version]);
    if (answer) {
      const { digest, result } = answer;
      sql.send(saveAnswer, [userId, digest, JSON.stringify(result)]);
    }
  }

  async deleteOldAnswers(limit: number): Promise<number> {
    const deleted = await this.database.run(this.statements.deleteOldAnswers, [limit]);
    return deleted.length;
  }

  /** In ms since 1970. */
  async readDatabaseClock(): Promise<number> {
    const [row] = await this.database.run<{ now: number }>(this.statements.readDatabaseClock, []);
    return row!.now;
  }

  /** In the order of their ids, behind `after`. */
  async listUsersWithTombstones(
    version: number,
    after: string | null,
    limit: number,
  ): Promise<string[]> {
    const rows = await this.database.run<{ userId: string }>(
      this.statements.listUsersWithTombstones,
      [version, after, limit],
    );
    return rows.map(({ userId }) => userId);
  }

  /** Up to a version; `highest` is the latest one deleted, null for none. */
  async deleteTombstones(
    sql: SqlTransaction,
    userId: string,
    version: number,
  ): Promise<{ count: number; highest: number | null }> {
    const [row] = await sql.run<{ count: number; highest: number | null }>(
      this.statements.deleteTombstones,
      [userId, version],
    );
    return row!;
  }

  async raiseFloor(sql: SqlTransaction, userId: string, floor: number): Promise<void> {
    await sql.run(this.statements.raiseFloor, [userId, floor]);
  }

  private async readClocks(userIds: readonly string[]): Promise<Array<ClockRow | null>> {
    const { readClocks } = this.statements;
    const rows = await this.database.run<ClockRow & { userId: string }>(readClocks, [userIds]);
    const clocks = new Map(rows.map((row) => [row.userId, row]));
    return userIds.map((userId) => clocks.get(userId) ?? null);
  }

  /** Upserts of all tables stand before any delete. */
  private *statementsOf(writes: readonly TableWrites[]): Generator<[Statement, unknown]> {
    for (const { table, upserts } of writes) {
      const { upsertComplete, upsertPartial } = this.statements.writesOf(table);
      const width = Object.keys(table.columns).length;
      const isComplete = ({ values }: RowWrite) => Object.keys(values).length === width;
      const complete = upserts.filter(isComplete);
      const partial = upserts.filter((row) => !isComplete(row));
      if (complete.length > 0) yield [upsertComplete, toJson(complete)];
      if (partial.length > 0) yield [upsertPartial, toJson(partial)];
    }
    for (const { table, deleteIds, touchIds, buryIds } of writes) {
      const { markDeleted, touch, bury } = this.statements.writesOf(table);
      if (deleteIds.length > 0) yield [markDeleted, deleteIds];
      if (touchIds.length > 0) yield [touch, touchIds];
      if (buryIds.length > 0) yield [bury, buryIds];
    }
  }

  private idsByTable({ tables }: PreparedPush): string[][] {
    return tables.flatMap(({ upserts, deletes }, index) => [
      upserts.map(({ id }) => id),
      deletes.map(({ id }) => id),
      this.referencedIds(index, tables),
    ]);
  }

  /** Ids of the table's rows that upserted rows of any table name as their parent. */
  private referencedIds(parent: number, tables: PreparedPush['tables']): string[] {
    const ids = new Set<string>();
    for (const edge of this.statements.edges) {
      if (edge.parent !== parent) continue;
      for (const { values } of tables[edge.child]!.upserts) {
        const id = values[edge.column];
        if (typeof id === 'string' && id !== '') ids.add(id);
      }
    }
    return [...ids];
  }
}

function toJson(rows: readonly RowWrite[]): string {
  return JSON.stringify(rows.map(({ id, values }) => ({ ...values, id })));
}
