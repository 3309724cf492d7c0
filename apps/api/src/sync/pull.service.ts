import type { Readable } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import type { PullQuery, SyncTable } from '@rind/contracts';
import { DomainError } from '../platform/errors/domain.error.js';
import { compress, type ContentCoding } from '../platform/http/content-coding.js';
import type { Principal } from '../platform/http/principal.js';
import { LargePulls, type Transfer } from './large-pulls.js';
import { type AnswerHead, headOf, PullAnswers } from './pull-answer.js';
import { type PullKind, PullReport } from './pull-report.js';
import { SyncMetrics } from './sync-metrics.js';
import { type ClockRow, type PulledRow, SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

/** Below this much text, compressing costs more than it saves. */
const MIN_COMPRESSED_LENGTH = 4096;

/** JSON text of a `PullResult`. */
interface PullAnswer {
  readonly body: string | Buffer | Readable;
  /** What the body is compressed with. */
  readonly coding: ContentCoding;
  readonly report: PullReport;
}

@Injectable()
export class PullService {
  private readonly logger = new Logger(PullService.name);
  private readonly answers: PullAnswers;

  constructor(
    private readonly repository: SyncRepository,
    private readonly largePulls: LargePulls,
    private readonly metrics: SyncMetrics,
    @InjectSyncTables() tables: readonly SyncTable[],
  ) {
    this.answers = new PullAnswers(tables);
  }

  /**
   * Everything that changed after the cursor, or everything there is for a cursor of 0, in one
   * snapshot.
   *
   * @throws DomainError `session_ended` when the user is gone, `service_unavailable` when there is
   *   no turn or no room for a large answer
   */
  async pull(
    { userId }: Principal,
    { lastPulledAt: cursor, migration }: PullQuery,
    transfer: Transfer,
  ): Promise<PullAnswer> {
    if (cursor > 0 && migration === null) {
      // The commonest request there is: nothing new, answered from the clock alone.
      const clock = await this.repository.findClock(userId);
      if (!clock) throw new DomainError('session_ended');
      if (clock.version === cursor && clock.floor <= cursor) {
        const head = headOf(userId, cursor, clock);
        return this.answerSmall(head, [], new PullReport('nothing_new', cursor), transfer.coding);
      }
    }
    const wholeTables = migration
      ? [...migration.tables, ...migration.columns.map(({ table }) => table)]
      : [];
    const { head, isLarge, rows } = await this.read(userId, cursor, wholeTables);
    if (cursor > head.timestamp) {
      this.metrics.countCursorAhead(cursor, head.timestamp);
      this.logger.warn(
        { userId, lastPulledAt: cursor, clock: head.timestamp },
        'A cursor is ahead of its clock',
      );
    }
    const report = new PullReport(kindOf(head, cursor, wholeTables), cursor);
    if (!isLarge) return this.answerSmall(head, rows, report, transfer.coding);
    const body = await this.largePulls.open({ userId, cursor, wholeTables, report }, transfer);
    return { body, coding: transfer.coding, report };
  }

  /**
   * All that is synced of a user, deleted ids too, as the text of a pull. Streamed whatever its size.
   *
   * @throws DomainError as `pull`
   */
  async export(userId: string, signal: AbortSignal): Promise<Readable> {
    const report = new PullReport('export', 0);
    const pull = { userId, cursor: 0, wholeTables: [], withTombstones: true, report };
    return this.largePulls.open(pull, { coding: 'identity', signal });
  }

  /** In one snapshot: all rows for a cursor below the floor, which has missed deletions. */
  private async read(
    userId: string,
    cursor: number,
    wholeTables: readonly string[],
  ): Promise<{ head: AnswerHead; isLarge: boolean; rows: readonly PulledRow[] }> {
    const rows = await this.repository.pull(userId, cursor, wholeTables);
    const { clock, isLarge } = clockOf(rows);
    const head = headOf(userId, cursor, clock);
    if (!head.isReplacement) return { head, isLarge, rows };
    const allRows = await this.repository.pull(userId, 0, []);
    const all = clockOf(allRows);
    return { head: headOf(userId, cursor, all.clock), isLarge: all.isLarge, rows: allRows };
  }

  private async answerSmall(
    head: AnswerHead,
    rows: readonly PulledRow[],
    report: PullReport,
    coding: ContentCoding,
  ): Promise<PullAnswer> {
    const text = this.answers.write(head, rows);
    const isDeleted = ([index, deleted]: PulledRow) => index >= 0 && deleted;
    const isUpdated = ([index, deleted]: PulledRow) => index >= 0 && !deleted;
    report.finish(head.timestamp, rows.filter(isUpdated).length, rows.filter(isDeleted).length);
    this.metrics.countPull(report);
    return text.length < MIN_COMPRESSED_LENGTH
      ? { body: text, coding: 'identity', report }
      : { body: await compress(text, coding), coding, report };
  }
}

function kindOf(head: AnswerHead, cursor: number, wholeTables: readonly string[]): PullKind {
  if (head.isReplacement) return 'replacement';
  if (cursor === 0) return 'first';
  return wholeTables.length > 0 ? 'migration' : 'incremental';
}

function clockOf(rows: readonly PulledRow[]): { clock: ClockRow; isLarge: boolean } {
  const row = rows.find(([index]) => index < 0);
  if (!row) throw new DomainError('session_ended');
  const [, isLarge, version, floor, timeline] = row;
  return {
    clock: { version: Number(version), floor: Number(floor), timeline: String(timeline) },
    isLarge,
  };
}
