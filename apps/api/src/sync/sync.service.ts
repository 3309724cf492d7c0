import { Injectable } from '@nestjs/common';
import { type SyncSchema, type SyncTable, TableChanges, toSyncSchema } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import type { SqlTransaction } from '../platform/database/sql-transaction.js';
import type { FoundRow, TableWrites } from './plan-push.js';
import { type PreparedPush, preparePush } from './prepare-push.js';
import { SyncEvents } from './sync-events.js';
import { SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

/** Records by table as the server writes them: an `updated` one may be partial, and must exist. */
export type ServerChanges = Readonly<
  Record<
    string,
    {
      readonly created?: ReadonlyArray<Readonly<Record<string, unknown>>>;
      readonly updated?: ReadonlyArray<Readonly<Record<string, unknown>>>;
      readonly deleted?: readonly string[];
    }
  >
>;

/** What the rest of the server does with synced rows. */
@Injectable()
export class SyncService {
  private readonly schema: SyncSchema;

  constructor(
    private readonly database: Database,
    private readonly repository: SyncRepository,
    private readonly events: SyncEvents,
    @InjectSyncTables() private readonly tables: readonly SyncTable[],
  ) {
    this.schema = toSyncSchema(tables);
  }

  getSchema(): SyncSchema {
    return this.schema;
  }

  /**
   * Writes a user's synced rows through the engine, so that clocks and wake-ups hold. Joins a
   * current transaction and holds the lock of the user's clock to its end; checks no conflict and
   * ignores access rules. An update of a row that is deleted or unknown, and everything for a user
   * who is gone, is ignored.
   *
   * @returns the user's clock afterwards, null when the user is gone
   * @throws Error for content that the registry does not allow: a defect of the caller; DomainError
   *   `service_unavailable` when a backup was put back just now, for the caller to try again
   */
  async write(userId: string, changes: ServerChanges): Promise<number | null> {
    const push = preparePush(this.tables, toTableChanges(changes));
    const [mistake] = push.warnings.toFaults();
    if (mistake) throw new Error(`${mistake.pointer}: ${mistake.code}`);
    return this.database.sqlTransaction((sql) => this.apply(sql, userId, push));
  }

  private async apply(
    sql: SqlTransaction,
    userId: string,
    push: PreparedPush,
  ): Promise<number | null> {
    const subject = { userId, sessionId: null, cursor: 0 };
    const situation = await this.repository.meet(sql, subject, push, null);
    if (!situation) return null;
    const writes = toWrites(push, situation.found);
    const { version: previous, now } = situation.state;
    if (writes.length === 0) return previous;
    const version = Math.max(previous + 1, now);
    await this.repository.write(sql, userId, version, { writes, mayCascade: true, answer: null });
    this.database.afterCommit(() =>
      this.events.emit('changed', { userId, sessionId: null, timestamp: version, writes }),
    );
    return version;
  }
}

function toTableChanges(changes: ServerChanges): Record<string, TableChanges> {
  return Object.fromEntries(
    Object.entries(changes).map(([table, lists]) => [table, TableChanges.parse(lists)]),
  );
}

/** With the cursor 0 every existing row among the upserts is found. */
function toWrites(push: PreparedPush, found: readonly FoundRow[]): TableWrites[] {
  return push.tables
    .map(({ table, upserts }, index): TableWrites => {
      const ofTable = found.filter((row) => row.table === index);
      const live = new Set(
        ofTable
          .filter(({ kind, isDeleted }) => kind === 'upsert' && !isDeleted)
          .map(({ id }) => id),
      );
      return {
        table,
        upserts: upserts.filter(({ place, id }) => place.list === 'created' || live.has(id)),
        deleteIds: ofTable.filter(({ kind }) => kind === 'delete').map(({ id }) => id),
        touchIds: [],
        buryIds: [],
      };
    })
    .filter(({ upserts, deleteIds }) => upserts.length + deleteIds.length > 0);
}
