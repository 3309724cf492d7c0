import type { Logger } from '@nestjs/common';

/** How often an outage that lasts is told of. */
const REMINDER_MS = 60_000;

const away = {
  begins: 'The database is away: trying again',
  lasts: 'The database is still away',
  ends: 'The database is back',
};

/** It answers, and is not what it should be. */
export const unusable: typeof away = {
  begins: 'The database cannot be used as it is: looking again',
  lasts: 'The database still cannot be used',
  ends: 'The database can be used again',
};

/** Tells of an outage of the database when it begins, each minute while it lasts, and when it is over. */
export class OutageLog {
  private beganAt: number | null = null;
  private toldAt = 0;

  constructor(
    private readonly logger: Logger,
    private readonly now: () => number = () => performance.now(),
    private readonly texts = away,
  ) {}

  /** To be called for each attempt that fails, with what PostgreSQL advises. */
  lost(reason: string, hint?: string): void {
    const now = this.now();
    if (this.beganAt === null) {
      this.beganAt = now;
      this.toldAt = now;
      this.logger.warn({ reason, hint }, this.texts.begins);
    } else if (now - this.toldAt >= REMINDER_MS) {
      this.toldAt = now;
      this.logger.warn({ reason, hint, seconds: this.seconds(now) }, this.texts.lasts);
    }
  }

  back(): void {
    if (this.beganAt === null) return;
    this.logger.log({ seconds: this.seconds(this.now()) }, this.texts.ends);
    this.beganAt = null;
  }

  private seconds(now: number): number {
    return Math.round((now - (this.beganAt ?? now)) / 100) / 10;
  }
}
