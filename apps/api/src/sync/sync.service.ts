import { Injectable, Logger } from '@nestjs/common';
import type {
  AcceptedPushBody,
  ProblemFault,
  PullQuery,
  PushResult,
  PushWarning,
} from '@rind/contracts';
import { syncTables } from '@rind/contracts';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { type PointedWarning, type PreparedPush, preparePush } from './prepare-push.js';
import { pullAnswer } from './pull-answer.js';
import {
  type FoundRow,
  type PulledRow,
  type PushSituation,
  SyncRepository,
  type TableWrites,
} from './sync.repository.js';

const MAX_FAULTS = 50;
const MAX_WARNINGS = 100;

@Injectable()
export class SyncService {
  private readonly logger = new Logger(SyncService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly repository: SyncRepository,
  ) {}

  /**
   * JSON text of a `PullResult`: everything that changed after the cursor, or everything there is
   * for a cursor of 0, in one snapshot.
   *
   * @throws DomainError `session_ended` when the user is gone
   */
  async pull({ userId }: Principal, { lastPulledAt, migration }: PullQuery): Promise<string> {
    if (lastPulledAt > 0 && migration === null) {
      // The commonest request there is: nothing new, answered from the clock alone.
      const clock = await this.repository.findClock(userId);
      if (!clock) throw new DomainError('session_ended');
      if (clock.version === lastPulledAt && clock.floor <= lastPulledAt) {
        const { version: timestamp, timeline } = clock;
        return pullAnswer({ userId, timestamp, timeline, isReplacement: false }, []);
      }
    }
    const wholeTables = migration
      ? [...migration.tables, ...migration.columns.map(({ table }) => table)]
      : [];
    const rows = await this.repository.pull(userId, lastPulledAt, wholeTables);
    const clock = clockOf(rows);
    if (lastPulledAt > clock.timestamp) {
      this.logger.warn(
        { userId, lastPulledAt, clock: clock.timestamp },
        'A cursor is ahead of its clock',
      );
    }
    const isReplacement = lastPulledAt > 0 && lastPulledAt < clock.floor;
    return pullAnswer({ userId, ...clock, isReplacement }, rows);
  }

  /**
   * Applies a push, all of it or nothing, in one transaction under the lock of the user's clock.
   *
   * @throws DomainError `sync_conflict` naming the records; `session_ended` when user or session
   *   are gone; `sync_content_refused` in strict mode
   */
  async push(principal: Principal, body: AcceptedPushBody): Promise<PushResult> {
    const push = preparePush(body);
    if (this.config.sync.strict && push.warnings.length > 0) throw refusedContent(push.warnings);
    const cursor = body.lastPulledAt;
    const outcome = await this.database.sqlTransaction(async (sql) => {
      const situation = await this.repository.meet(sql, { ...principal, cursor }, push);
      if (!situation?.state.isActive) throw new DomainError('session_ended');
      refuseConflicts(push, situation, cursor);
      const writes = toWrites(push, situation.found);
      if (writes.length === 0) return { version: situation.state.version, writes };
      // Versions of one user only grow, whatever the clock of the database's machine does.
      const version = Math.max(situation.state.version + 1, situation.state.now);
      await this.repository.write(sql, principal.userId, version, writes);
      if (needsCascade(writes, situation.found)) {
        await this.repository.cascade(sql, principal.userId, version);
      }
      await this.repository.advanceClock(sql, principal.userId, version);
      return { version, writes };
    });
    return this.toResult(principal, push, outcome);
  }

  private toResult(
    { userId }: Principal,
    push: PreparedPush,
    { version, writes }: { version: number; writes: readonly TableWrites[] },
  ): PushResult {
    const warnings: PushWarning[] = [
      ...push.warnings.map(({ pointer: _pointer, ...warning }) => warning),
      ...writes.flatMap(({ table, touchIds }) =>
        touchIds.map((id) => ({
          table: table.name,
          id,
          code: 'deleted_before' as const,
          message:
            'The record was deleted before; the update is ignored, and the next pull deletes it',
        })),
      ),
    ];
    if (warnings.length > 0) {
      const counts = Object.groupBy(warnings, ({ code }) => code);
      this.logger.log(
        {
          userId,
          ...Object.fromEntries(Object.entries(counts).map(([code, list]) => [code, list?.length])),
        },
        'A push was repaired',
      );
    }
    return {
      timestamp: version,
      warnings: warnings.slice(0, MAX_WARNINGS),
      ...(Object.keys(push.rejectedIds).length > 0 && {
        experimentalRejectedIds: push.rejectedIds,
      }),
    };
  }
}

function clockOf(rows: readonly PulledRow[]): {
  timestamp: number;
  floor: number;
  timeline: string;
} {
  const row = rows.find(([index]) => index < 0);
  if (!row) throw new DomainError('session_ended');
  const [, , version, floor, timeline] = row;
  return { timestamp: Number(version), floor: Number(floor), timeline: String(timeline) };
}

function refusedContent(warnings: readonly PointedWarning[]): DomainError {
  return new DomainError('sync_content_refused', {
    faults: warnings
      .slice(0, MAX_FAULTS)
      .map(({ pointer, code, message }) => ({ pointer, code, message })),
  });
}

/** Rules 26 and 28: a record that changed after the cursor. A cursor of 0 has seen nothing. */
function refuseConflicts(
  push: PreparedPush,
  { state, found }: PushSituation,
  cursor: number,
): void {
  if (cursor > 0 && (cursor < state.floor || cursor > state.version)) {
    throw new DomainError('sync_conflict', {
      detail:
        'The cursor is not one that this server can compare with: pull first, then push again',
    });
  }
  const faults = found
    .filter(({ kind, isNewer }) => kind !== 'parent' && isNewer)
    .slice(0, MAX_FAULTS)
    .map((row): ProblemFault => {
      const { upserts, deletes } = push.tables[row.table]!;
      const entry = [...upserts, ...deletes].find(({ id }) => id === row.id);
      return {
        pointer: entry?.pointer ?? '',
        code: row.isDeleted ? 'deleted_on_server' : 'changed_on_server',
        message: `${syncTables[row.table]!.name} ${row.id} was ${row.isDeleted ? 'deleted' : 'changed'} on the server after lastPulledAt`,
      };
    });
  if (faults.length > 0) throw new DomainError('sync_conflict', { faults });
}

/**
 * What is left to write: deletes of rows that live, and upserts but for updates of rows that were
 * deleted before the cursor. Those are ignored, and their tombstone gets a new version, so that the
 * device is told after all (rule 26).
 */
function toWrites(push: PreparedPush, found: readonly FoundRow[]): TableWrites[] {
  return push.tables
    .map(({ table, upserts }, index) => {
      const ofTable = found.filter((row) => row.table === index);
      const tombstones = new Set(
        ofTable.filter(({ kind, isDeleted }) => kind === 'upsert' && isDeleted).map(({ id }) => id),
      );
      const isLate = (row: PreparedPush['tables'][number]['upserts'][number]) =>
        row.list === 'updated' && tombstones.has(row.id);
      return {
        table,
        upserts: upserts.filter((row) => !isLate(row)),
        touchIds: upserts.filter(isLate).map(({ id }) => id),
        deleteIds: ofTable.filter(({ kind }) => kind === 'delete').map(({ id }) => id),
      };
    })
    .filter(
      ({ upserts, touchIds, deleteIds }) => upserts.length + touchIds.length + deleteIds.length > 0,
    );
}

function needsCascade(writes: readonly TableWrites[], found: readonly FoundRow[]): boolean {
  return (
    writes.some(({ deleteIds }) => deleteIds.length > 0) ||
    found.some(({ kind }) => kind === 'parent')
  );
}
