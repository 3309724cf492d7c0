import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import type { AcceptedPushBody, PushResult, SyncTable } from '@rind/contracts';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import type { SqlTransaction } from '../platform/database/sql-transaction.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { planPush } from './plan-push.js';
import { type PreparedPush, preparePush } from './prepare-push.js';
import { PushQueue } from './push-queue.js';
import { type AppliedPush, reportOf } from './push-report.js';
import { PushWarnings, type WarningCode } from './push-warnings.js';
import { SyncEvents } from './sync-events.js';
import { SyncMetrics } from './sync-metrics.js';
import { type PushSituation, SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

const MAX_FAULTS = 50;

/** Applies what devices changed. */
@Injectable()
export class PushService {
  private readonly logger = new Logger(PushService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly repository: SyncRepository,
    private readonly events: SyncEvents,
    private readonly queue: PushQueue,
    private readonly metrics: SyncMetrics,
    @InjectSyncTables() private readonly tables: readonly SyncTable[],
  ) {}

  /**
   * Applies a push, all of it or nothing, in one transaction under the lock of the user's clock.
   *
   * @throws DomainError `sync_conflict` naming the records; `session_ended` when user or session
   *   are gone; `sync_content_refused` in strict mode; `service_unavailable` when a backup was put
   *   back just now
   */
  push(principal: Principal, body: AcceptedPushBody): Promise<AppliedPush> {
    return this.metrics.countPush(() => this.prepareAndApply(principal, body));
  }

  private async prepareAndApply(
    principal: Principal,
    body: AcceptedPushBody,
  ): Promise<AppliedPush> {
    const push = preparePush(this.tables, body.changes);
    this.refuseInStrictMode(push.warnings);
    const digest = mayMerge(push) ? digestOf(principal, body) : null;
    const cursor = body.lastPulledAt;
    return this.queue.run(principal.userId, () =>
      this.database.sqlTransaction((sql) => this.apply(sql, principal, { push, cursor, digest })),
    );
  }

  private async apply(
    sql: SqlTransaction,
    { userId, sessionId }: Principal,
    { push, cursor, digest }: { push: PreparedPush; cursor: number; digest: Buffer | null },
  ): Promise<AppliedPush> {
    const subject = { userId, sessionId, cursor };
    const situation = await this.repository.meet(sql, subject, push, digest);
    if (!situation?.state.isSignedIn) throw new DomainError('session_ended');
    if (situation.answer) {
      return { result: situation.answer, report: reportOf(situation.answer, cursor, null) };
    }
    refuseForeignCursor(situation, cursor);
    // A copy: the transaction may be tried again.
    const warnings = new PushWarnings(push.warnings);
    const plan = planPush(push, situation.found, warnings);
    if (plan.conflicts.length > 0) {
      this.metrics.countConflicts(plan.conflicts.length);
      throw new DomainError('sync_conflict', {
        detail:
          'Records were changed or deleted on the server after lastPulledAt; nothing was applied',
        faults: plan.conflicts.slice(0, MAX_FAULTS),
      });
    }
    this.refuseInStrictMode(warnings);

    const { version: previous, now } = situation.state;
    // Versions of one user only grow, whatever the clock of the database's machine does.
    const version = plan.writes.length === 0 ? previous : Math.max(previous + 1, now);
    const result = toResult(version, warnings, push.rejectedIds);
    if (version > previous) {
      await this.repository.write(sql, userId, version, {
        ...plan,
        answer: digest && { digest, result },
      });
      this.database.afterCommit(() =>
        this.events.emit('changed', { userId, sessionId, timestamp: version, writes: plan.writes }),
      );
    }
    this.database.afterCommit(() => this.metrics.countRepairs(warnings));
    if (!warnings.isEmpty) {
      this.logger.log(
        { userId, timestamp: version, repairs: warnings.counts },
        'A push was repaired',
      );
    }
    return { result, report: reportOf(result, cursor, plan.writes) };
  }

  private refuseInStrictMode(warnings: PushWarnings): void {
    if (!this.config.sync.strict) return;
    const faults = warnings.toFaults().filter(({ code }) => code !== noMistake);
    if (faults.length > 0) {
      this.metrics.countRepairs(warnings);
      throw new DomainError('sync_content_refused', { faults: faults.slice(0, MAX_FAULTS) });
    }
  }
}

/** Of what happens to every app whose users have two devices, strict mode must not complain. */
const noMistake: WarningCode = 'deleted_before';

/** Whether a repeat of the push could overwrite what others wrote meanwhile. */
function mayMerge({ tables }: PreparedPush): boolean {
  return tables.some(
    ({ table, upserts, deletes }) =>
      table.conflictPolicy === 'merge' && upserts.length + deletes.length > 0,
  );
}

/** Of session and body, so that only a device's own repeat is recognised. */
function digestOf({ sessionId }: Principal, body: AcceptedPushBody): Buffer {
  return createHash('sha256').update(sessionId).update(JSON.stringify(body)).digest();
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
  warnings: PushWarnings,
  rejectedIds: PreparedPush['rejectedIds'],
): PushResult {
  return {
    timestamp,
    warnings: warnings.toAnswer(),
    ...(Object.keys(rejectedIds).length > 0 && { experimentalRejectedIds: rejectedIds }),
  };
}
