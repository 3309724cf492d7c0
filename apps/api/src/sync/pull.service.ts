import { Injectable, Logger } from '@nestjs/common';
import type { PullQuery, SyncTable } from '@rind/contracts';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { PullAnswers } from './pull-answer.js';
import { type PulledRow, SyncRepository } from './sync.repository.js';
import { InjectSyncTables } from './sync-tables.module.js';

@Injectable()
export class PullService {
  private readonly logger = new Logger(PullService.name);
  private readonly answers: PullAnswers;

  constructor(
    private readonly repository: SyncRepository,
    @InjectSyncTables() tables: readonly SyncTable[],
  ) {
    this.answers = new PullAnswers(tables);
  }

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
        return this.answers.write({ userId, timestamp, timeline, isReplacement: false }, []);
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
    return this.answers.write({ userId, ...clock, isReplacement }, rows);
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
