import { Injectable } from '@nestjs/common';

export const DAY_MS = 86_400_000;

/** Longer delays would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Time and timers, so that a test can let them pass. */
@Injectable()
export class Clock {
  /** In ms, by the wall. */
  now(): number {
    return Date.now();
  }

  /** May fire early, when the delay is longer than timers can wait, and keeps no process alive. */
  setTimeout(callback: () => void, delayMs: number): unknown {
    return setTimeout(callback, Math.min(delayMs, MAX_DELAY_MS)).unref();
  }

  clearTimeout(timer: unknown): void {
    clearTimeout(timer as NodeJS.Timeout);
  }
}
