import type { Logger } from '@nestjs/common';

/** How often an outage that lasts is told of. */
const REMINDER_MS = 60_000;

/** Tells of an outage of the database when it begins, each minute while it lasts, and when it is over. */
export class OutageLog {
  private beganAt: number | null = null;
  private toldAt = 0;

  constructor(
    private readonly logger: Logger,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** To be called for each attempt that fails. */
  lost(reason: string): void {
    const now = this.now();
    if (this.beganAt === null) {
      this.beganAt = now;
      this.toldAt = now;
      this.logger.warn({ reason }, 'The database is away: trying again');
    } else if (now - this.toldAt >= REMINDER_MS) {
      this.toldAt = now;
      this.logger.warn({ reason, seconds: this.seconds(now) }, 'The database is still away');
    }
  }

  back(): void {
    if (this.beganAt === null) return;
    this.logger.log({ seconds: this.seconds(this.now()) }, 'The database is back');
    this.beganAt = null;
  }

  private seconds(now: number): number {
    return Math.round((now - (this.beganAt ?? now)) / 100) / 10;
  }
}
