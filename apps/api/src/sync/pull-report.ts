export type PullKind = (typeof pullKinds)[number];

export const pullKinds = [
  'first',
  'incremental',
  'migration',
  'replacement',
  'nothing_new',
  'export',
] as const;

/** What the log says of a pull, to tell why a row was in it or not. No content of rows. */
export class PullReport {
  /** Null until the answer is complete: what broke off has none. */
  timestamp: number | null = null;
  updated: number | null = null;
  deleted: number | null = null;
  /** Whether it was copied through the spool. */
  isLarge = false;

  constructor(
    readonly kind: PullKind,
    readonly lastPulledAt: number,
  ) {}

  finish(timestamp: number, updated: number, deleted: number): void {
    Object.assign(this, { timestamp, updated, deleted });
  }
}
