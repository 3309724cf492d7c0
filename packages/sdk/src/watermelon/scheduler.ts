import { backOffMs } from './back-off.js';
import type { Clock } from './clock.js';
import { SyncError, toSyncError } from './sync-error.js';

export interface SchedulerOptions<Result> {
  run: () => Promise<Result>;
  /** After each run, before the next one begins and before those who asked learn of it. */
  onFinished: (outcome: Outcome<Result>) => void;
  clock: Clock;
  /** 0 up to 1, for jitter. */
  random: () => number;
  /** Between runs that nobody asked for. */
  intervalMs: number;
}

export type Outcome<Result> =
  | { readonly result: Result; readonly error: null }
  | { readonly error: SyncError };

/** Between the starts of two runs. */
const MIN_GAP_MS = 1000;

interface BackOff {
  readonly from: number;
  readonly delayMs: number;
  /** Asked for by the server, which is not to be overridden. */
  readonly isServers: boolean;
}

interface Pending<Result> {
  readonly promise: Promise<Result>;
  resolve(result: Result): void;
  reject(error: SyncError): void;
}

/** Decides when to run: one at a time, at most one pending, never twice within a second. */
export class Scheduler<Result> {
  #isStarted = false;
  /** Until somebody asks: what went wrong does not pass by itself. */
  #isPaused = false;
  #running: Promise<void> | null = null;
  #pending: Pending<Result> | null = null;
  #timer: { readonly handle: unknown } | null = null;
  #lastStart: number | null = null;
  #failures = 0;
  #backOff: BackOff | null = null;

  constructor(private readonly options: SchedulerOptions<Result>) {}

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Earliest time of the next run after a failure, in ms. */
  get waitingUntil(): number | null {
    return this.#backOff && this.#backOff.from + this.#backOff.delayMs;
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.request();
  }

  /** Resolves when the run that is under way is over. Rejects the pending one. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    this.#pending?.reject(new SyncError('stopped', 'Stopped before the sync began'));
    this.#pending = null;
    this.#plan();
    await this.#running;
  }

  /** The next run's outcome. Nobody has to handle a rejection. */
  request({ skipBackOff = false } = {}): Promise<Result> {
    this.#isPaused = false;
    if (skipBackOff && !this.#backOff?.isServers) this.#backOff = null;
    this.#pending ??= createPending();
    const { promise } = this.#pending;
    this.#plan();
    return promise;
  }

  /** A request by nobody: without effect while stopped or paused. */
  poke(): void {
    if (this.#isStarted && !this.#isPaused) void this.request();
  }

  #plan(): void {
    const { clock } = this.options;
    if (this.#timer) clock.clearTimeout(this.#timer.handle);
    this.#timer = null;
    const delayMs = this.#running ? null : this.#delayMs();
    if (delayMs === null) return;
    if (delayMs > 0) {
      this.#timer = { handle: clock.setTimeout(() => this.#begin(), delayMs) };
    } else {
      this.#begin();
    }
  }

  /** Null when no run is due. */
  #delayMs(): number | null {
    const isWanted = this.#pending !== null || (this.#isStarted && !this.#isPaused);
    if (!isWanted) return null;
    const gapMs = this.#remainingMs(this.#lastStart, MIN_GAP_MS);
    if (this.#backOff) {
      return Math.max(gapMs, this.#remainingMs(this.#backOff.from, this.#backOff.delayMs));
    }
    return this.#pending ? gapMs : this.#remainingMs(this.#lastStart, this.options.intervalMs);
  }

  /** Never more than the whole delay, however the device's clock was set meanwhile. */
  #remainingMs(from: number | null, delayMs: number): number {
    if (from === null) return 0;
    return Math.min(from + delayMs - this.options.clock.now(), delayMs);
  }

  #begin(): void {
    const pending = this.#pending;
    this.#pending = null;
    this.#timer = null;
    this.#lastStart = this.options.clock.now();
    this.#running = this.#perform(pending);
  }

  async #perform(pending: Pending<Result> | null): Promise<void> {
    const outcome = await this.#outcome();
    this.#noteOutcome(outcome);
    this.#running = null;
    // Whoever hears of the outcome may ask for the next run, and finds everything as it will be.
    this.options.onFinished(outcome);
    this.#plan();
    if (outcome.error) pending?.reject(outcome.error);
    else pending?.resolve(outcome.result);
  }

  async #outcome(): Promise<Outcome<Result>> {
    try {
      return { result: await this.options.run(), error: null };
    } catch (error) {
      return { error: toSyncError(error) };
    }
  }

  #noteOutcome({ error }: Outcome<Result>): void {
    this.#isPaused = error !== null && needsTheUser(error);
    this.#failures = error?.isTransient ? this.#failures + 1 : 0;
    this.#backOff = error?.isTransient
      ? {
          from: this.options.clock.now(),
          delayMs: Math.max(
            backOffMs(this.#failures, this.options.random),
            error.retryAfterMs ?? 0,
          ),
          isServers: error.retryAfterMs !== null,
        }
      : null;
  }
}

/** Time alone does not mend it. */
const needsTheUser = (error: SyncError) => error.isSignedOut || error.code === 'account_changed';

function createPending<Result>(): Pending<Result> {
  let settle!: Pick<Pending<Result>, 'resolve' | 'reject'>;
  const promise = new Promise<Result>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // The status tells of failures, too: who does not wait for the outcome causes no unhandled rejection.
  promise.catch(() => undefined);
  return { promise, ...settle };
}
