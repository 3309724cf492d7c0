import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import type { AcceptedPushBody, PushResult, SyncTable } from '@rind/contracts';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database, type SqlTransaction } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { planPush } from './plan-push.js';
import { type PreparedPush, preparePush } from './prepare-push.js';
import type { PointedWarning } from './push-warnings.js';
import { SyncEvents } from './sync-events.js';
import { type PushSituation, SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

const MAX_FAULTS = 50;
const MAX_WARNINGS = 100;

/** Applies what devices changed. */
@Injectable()
export class PushService {
  private readonly logger = new Logger(PushService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly repository: SyncRepository,
    private readonly events: SyncEvents,
    @InjectSyncTables() private readonly tables: readonly SyncTable[],
  ) {}

  /**
   * Applies a push, all of it or nothing, in one transaction under the lock of the user's clock.
   *
   * @throws DomainError `sync_conflict` naming the records; `session_ended` when user or session
   *   are gone; `sync_content_refused` in strict mode
   */
  async push(principal: Principal, body: AcceptedPushBody): Promise<PushResult> {
    const push = preparePush(this.tables, body.changes);
    if (this.config.sync.strict && push.warnings.length > 0) throw refusedContent(push.warnings);
    const digest = this.mayMerge(push) ? digestOf(principal, body) : null;
    const result = await this.database.sqlTransaction(async (sql) => {
      const isThere = await this.repository.lockClock(sql, principal.userId);
      if (!isThere) throw new DomainError('session_ended');
      const answered = digest && (await this.repository.findAnswer(sql, principal.userId, digest));
      if (answered) return answered;
      return this.apply(sql, principal, { push, cursor: body.lastPulledAt, digest });
    });
    this.log(principal, result);
    return result;
  }

  private async apply(
    sql: SqlTransaction,
    { userId, sessionId }: Principal,
    { push, cursor, digest }: { push: PreparedPush; cursor: number; digest: Buffer | null },
  ): Promise<PushResult> {
    const situation = await this.repository.meet(sql, { userId, sessionId, cursor }, push);
    if (!situation?.state.isActive) throw new DomainError('session_ended');
    refuseForeignCursor(situation, cursor);
    const plan = planPush(push, situation.found);
    if (plan.conflicts.length > 0) {
      throw new DomainError('sync_conflict', { faults: plan.conflicts.slice(0, MAX_FAULTS) });
    }
    const refusals = plan.warnings.filter(({ code }) => code !== 'deleted_before');
    if (this.config.sync.strict && refusals.length > 0) throw refusedContent(refusals);

    const { version: previous, now } = situation.state;
    const result = (timestamp: number): PushResult =>
      toResult(timestamp, [...push.warnings, ...plan.warnings], push.rejectedIds);
    if (plan.writes.length === 0) return result(previous);
    // Versions of one user only grow, whatever the clock of the database's machine does.
    const version = Math.max(previous + 1, now);
    await this.repository.write(sql, userId, version, plan.writes);
    if (plan.mayCascade) await this.repository.cascade(sql, userId, version);
    await this.repository.advanceClock(sql, userId, version);
    if (digest) await this.repository.saveAnswer(sql, userId, digest, result(version));
    this.database.afterCommit(() =>
      this.events.emit('changed', { userId, sessionId, timestamp: version }),
    );
    return result(version);
  }

  /** Whether a repeat of the push could overwrite what others wrote meanwhile. */
  private mayMerge({ tables }: PreparedPush): boolean {
    return tables.some(
      ({ table, upserts, deletes }) =>
        table.conflictPolicy === 'merge' && upserts.length + deletes.length > 0,
    );
  }

  /** So that an operator can tell why a record is or is not as its device sent it. */
  private log({ userId }: Principal, { warnings, timestamp }: PushResult): void {
    if (warnings.length === 0) return;
    const counts = Object.entries(Object.groupBy(warnings, ({ code }) => code));
    const repairs = Object.fromEntries(counts.map(([code, list]) => [code, list?.length]));
    this.logger.log({ userId, timestamp, repairs }, 'A push was repaired');
  }
}

/** Of session and body, so that only a device's own repeat is recognised. */
function digestOf({ sessionId }: Principal, body: AcceptedPushBody): Buffer {
  return createHash('sha256').update(sessionId).update(JSON.stringify(body)).digest();
}

function refusedContent(warnings: readonly PointedWarning[]): DomainError {
  return new DomainError('sync_content_refused', {
    faults: warnings
      .slice(0, MAX_FAULTS)
      .map(({ pointer, code, message }) => ({ pointer, code, message })),
  });
}

/** A cursor below the floor has missed deletions that are forgotten; one above the clock is none of this database. */
function refuseForeignCursor({ state }: PushSituation, cursor: number): void {
  if (cursor === 0 || (cursor >= state.floor && cursor <= state.version)) return;
  throw new DomainError('sync_conflict', {
    detail: 'The cursor is not one that this server can compare with: pull first, then push again',
  });
}

function toResult(
  timestamp: number,
  warnings: readonly PointedWarning[],
  rejectedIds: PreparedPush['rejectedIds'],
): PushResult {
  return {
    timestamp,
    warnings: warnings.slice(0, MAX_WARNINGS).map(({ pointer: _pointer, ...rest }) => rest),
    ...(Object.keys(rejectedIds).length > 0 && { experimentalRejectedIds: rejectedIds }),
  };
}
