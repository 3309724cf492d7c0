import type { PushResult } from '@rind/contracts';
import type { TableWrites } from './plan-push.js';

/** What the log says of a push. No content of records. */
interface PushReport {
  readonly lastPulledAt: number;
  readonly timestamp: number;
  /** Rows that were created or changed, and those that were deleted, without their descendants. */
  readonly written: number;
  readonly deleted: number;
  /** Rows that only got a new version, so that the next pull restores or removes them. */
  readonly reverted: number;
  /** Records that were left out. */
  readonly rejected: number;
  /** Whether it was a repeat, and answered as before. */
  readonly isRepeat: boolean;
}

export interface AppliedPush {
  readonly result: PushResult;
  readonly report: PushReport;
}

/** `writes` is null for a repeat, which writes nothing. */
export function reportOf(
  { timestamp, experimentalRejectedIds = {} }: PushResult,
  lastPulledAt: number,
  writes: readonly TableWrites[] | null,
): PushReport {
  const sum = (count: (table: TableWrites) => number) =>
    (writes ?? []).reduce((total, table) => total + count(table), 0);
  return {
    lastPulledAt,
    timestamp,
    written: sum(({ upserts }) => upserts.length),
    deleted: sum(({ deleteIds }) => deleteIds.length),
    reverted: sum(({ touchIds, buryIds }) => touchIds.length + buryIds.length),
    rejected: Object.values(experimentalRejectedIds).flat().length,
    isRepeat: writes === null,
  };
}
