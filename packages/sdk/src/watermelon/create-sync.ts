import type { Database } from '@nozbe/watermelondb';
import { getLastPulledAt } from '@nozbe/watermelondb/sync/impl/index.js';
import {
  synchronize,
  type SyncConflictResolver,
  type SyncPullResult,
} from '@nozbe/watermelondb/sync/index.js';
import type { PullResult, PushResult, PushWarning } from '../generated/types.gen.js';
import { AccountGuard } from './account-guard.js';
import { type Clock, systemClock } from './clock.js';
import { RealtimeConnection } from './realtime-connection.js';
import { type Outcome, Scheduler } from './scheduler.js';
import { SyncApi } from './sync-api.js';
import { SyncError } from './sync-error.js';
import type { TokenStorage, Tokens } from './tokens.js';

export interface CreateSyncOptions {
  database: Database;
  /** Origin of the API, such as `https://api.example.com`. */
  baseUrl: string;
  tokenStorage: TokenStorage;
  /** WatermelonDB's: the schema version before the first migration that syncs. Needs migrations. */
  migrationsEnabledAtVersion?: number;
  /** WatermelonDB's: has the last word on a record that changed on both sides. */
  conflictResolver?: SyncConflictResolver;
  /** Whether to listen for wake-ups on a WebSocket while started; by default true. */
  realtime?: boolean;
  /** Between syncs that nobody asked for; by default 5 minutes. */
  intervalMs?: number;
  /** After which a request counts as lost; by default 5 minutes, since a first pull may be large. */
  requestTimeoutMs?: number;
  fetch?: typeof fetch;
  clock?: Clock;
  /** 0 up to 1, for the jitter of delays. */
  random?: () => number;
}

/**
 * - `idle`: the last sync succeeded, or there was none yet.
 * - `syncing`: one is under way.
 * - `waiting`: the server is busy or limits requests; the next attempt is at `until`.
 * - `offline`: the server could not be reached; the next attempt is at `until`.
 * - `error`: `lastError` says why; repeating it at once would not help.
 * - `signed_out`: only a sign-in helps. Local data is as it was.
 * - `account_changed`: the local database holds another account's data. Nothing was applied or pushed.
 */
export type SyncState =
  | 'idle'
  | 'syncing'
  | 'waiting'
  | 'offline'
  | 'error'
  | 'signed_out'
  | 'account_changed';

/** A record that the server could not store. It stays unsynced on this device, its only copy. */
export interface RejectedRecord {
  readonly table: string;
  readonly id: string;
  /** Why; empty where the server had too many warnings to list. */
  readonly reasons: readonly PushWarning[];
}

/** Never changed, only replaced. */
export interface SyncStatus {
  readonly state: SyncState;
  /** In `waiting` and `offline`: when the next attempt may begin, in ms since 1970. */
  readonly until: number | null;
  /** End of the last successful sync since the app started, in ms since 1970. */
  readonly lastSyncedAt: number | null;
  /** Null after a success. */
  readonly lastError: SyncError | null;
  /** Of the last successful sync. */
  readonly rejected: readonly RejectedRecord[];
  /** Whether changes of other devices are announced to this one at once. */
  readonly isListening: boolean;
}

export interface SyncResult {
  /** The new cursor. */
  readonly timestamp: number;
  readonly rejected: readonly RejectedRecord[];
  /** What the server repaired, ignored or left out. */
  readonly warnings: readonly PushWarning[];
}

export interface Sync {
  readonly status: SyncStatus;
  /** Calls the listener after each change of `status`. Returns what ends that. */
  subscribe(listener: () => void): () => void;
  /** Syncs now, at every interval and at wake-ups, for which it listens, until `stop()`. */
  start(): void;
  /**
   * Breaks off what is under way and resolves when nothing is. Stopped, only `requestSync()` syncs.
   * Await it before the database is reset.
   */
  stop(): Promise<void>;
  /**
   * Syncs as soon as may be; a request during a sync asks for one more after it. Rejects with a
   * `SyncError`, which `status` shows, too. `skipBackOff`: do not sit out a delay after a failure,
   * for example because the network is back; one that the server asked for is kept.
   */
  requestSync(options?: { skipBackOff?: boolean }): Promise<SyncResult>;
  /**
   * Tells that the server has news up to this `timestamp`, or that it may have, for example when the
   * app comes to the foreground. Ignored when they are here already, and while stopped.
   */
  wake(timestamp?: number): void;
  /**
   * For the app's other requests, after `access_token_expired`: tokens newer than `used`. Shares
   * the refresh with a sync that needs one at the same time.
   */
  refreshTokens(used: Tokens): Promise<Tokens>;
}

const DEFAULT_INTERVAL_MS = 5 * 60 * 1000;
const DEFAULT_REQUEST_TIMEOUT_MS = 5 * 60 * 1000;

/** Syncs a WatermelonDB database with Rind. Nothing happens before `start()` or `requestSync()`. */
export function createSync(options: CreateSyncOptions): Sync {
  return new SyncController(options);
}

class SyncController implements Sync {
  readonly #options: CreateSyncOptions;
  readonly #clock: Clock;
  readonly #api: SyncApi;
  readonly #guard: AccountGuard;
  readonly #scheduler: Scheduler<SyncResult>;
  readonly #realtime: RealtimeConnection | null;
  readonly #listeners = new Set<() => void>();
  #status: SyncStatus = {
    state: 'idle',
    until: null,
    lastSyncedAt: null,
    lastError: null,
    rejected: [],
    isListening: false,
  };
  /** Highest timestamp of the wake-ups that nobody has looked at yet. */
  #wokenTo = 0;
  /** Tokens that the server refused a socket with. */
  #doubted: Tokens | null = null;
  /** Tells a sync whether `stop()` was called since it began. */
  #stops = 0;

  constructor(options: CreateSyncOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#guard = new AccountGuard(options.database);
    this.#api = new SyncApi({
      baseUrl: options.baseUrl,
      tokenStorage: options.tokenStorage,
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      clock: this.#clock,
      requestTimeoutMs: options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    });
    this.#scheduler = new Scheduler({
      run: () => this.#run(),
      onFinished: (outcome) => this.#onFinished(outcome),
      clock: this.#clock,
      random: options.random ?? Math.random,
      intervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS,
    });
    this.#realtime = (options.realtime ?? true) ? this.#createRealtime() : null;
  }

  get status(): SyncStatus {
    return this.#status;
  }

  // A function of its own, so that it can be handed on, as to React's useSyncExternalStore.
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    this.#scheduler.start();
    this.#realtime?.start();
  }

  async stop(): Promise<void> {
    this.#stops += 1;
    this.#realtime?.stop();
    this.#api.abort();
    await this.#scheduler.stop();
  }

  requestSync(options: { skipBackOff?: boolean } = {}): Promise<SyncResult> {
    return this.#scheduler.request(options);
  }

  wake(timestamp = Infinity): void {
    if (timestamp > this.#wokenTo) this.#wokenTo = timestamp;
    // A sync that is under way may bring the news: its end decides.
    if (!this.#scheduler.isRunning) void this.#followWakeUp();
  }

  refreshTokens(used: Tokens): Promise<Tokens> {
    return this.#api.tokens.refresh(used);
  }

  #createRealtime(): RealtimeConnection {
    return new RealtimeConnection({
      baseUrl: this.#options.baseUrl,
      tokens: this.#api.tokens,
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
      onOpenChanged: (isListening) => {
        this.#setStatus({ isListening });
        // What changed before was announced to nobody here.
        if (isListening) this.wake();
      },
      onNews: (timestamp) => this.wake(timestamp),
      onSessionDoubted: (tokens) => {
        this.#doubted = tokens;
        this.#scheduler.poke();
      },
    });
  }

  async #followWakeUp(): Promise<void> {
    const cursor = await getLastPulledAt(this.#options.database).catch(() => null);
    const wokenTo = this.#wokenTo;
    this.#wokenTo = 0;
    if (wokenTo > (cursor ?? 0)) this.#scheduler.poke();
  }

  async #run(): Promise<SyncResult> {
    const stops = this.#stops;
    this.#setStatus({ state: 'syncing', until: null });
    try {
      await this.#settleDoubt();
      return await this.#syncWithOneRetry(stops);
    } catch (error) {
      // What was broken off is not what went wrong.
      throw this.#stops === stops ? error : stopped();
    }
  }

  /** A refresh tells whether the session is over, or only the tokens that a socket was refused with. */
  async #settleDoubt(): Promise<void> {
    if (!this.#doubted) return;
    await this.#api.tokens.refresh(this.#doubted);
    this.#doubted = null;
  }

  #onFinished(outcome: Outcome<SyncResult>): void {
    if (outcome.error) {
      const { error } = outcome;
      const until = this.#scheduler.waitingUntil;
      this.#setStatus({ state: stateAfter(error), until, lastError: error });
    } else {
      const { rejected } = outcome.result;
      const lastSyncedAt = this.#clock.now();
      const wasOffline = this.#status.lastError?.code === 'network_error';
      this.#setStatus({ state: 'idle', lastSyncedAt, lastError: null, rejected });
      void this.#realtime?.follow({ wasOffline });
    }
    if (this.#wokenTo > 0) void this.#followWakeUp();
  }

  /** A conflict is ordinary: the pull of the second attempt merges what another device wrote. */
  async #syncWithOneRetry(stops: number): Promise<SyncResult> {
    try {
      return await this.#sync(stops);
    } catch (error) {
      if (!(error instanceof SyncError && error.code === 'sync_conflict')) throw error;
      return await this.#sync(stops);
    }
  }

  async #sync(stops: number): Promise<SyncResult> {
    const { database, migrationsEnabledAtVersion, conflictResolver } = this.#options;
    const admit = this.#guard.begin();
    const ensureWanted = () => this.#ensureNotStopped(stops);
    let pulled: PullResult | undefined;
    let pushed: PushResult | undefined;
    await synchronize({
      database,
      sendCreatedAsUpdated: true,
      ...(migrationsEnabledAtVersion !== undefined && { migrationsEnabledAtVersion }),
      ...(conflictResolver && { conflictResolver }),
      pullChanges: async (args) => {
        pulled = await this.#api.pull(args, ensureWanted);
        if (typeof pulled.account !== 'string') throw notRind();
        await admit(pulled.account);
        return pulled satisfies SyncPullResult;
      },
      pushChanges: async (args) => {
        pushed = await this.#api.push(args, pulled!.account, ensureWanted);
        const { experimentalRejectedIds } = pushed;
        return experimentalRejectedIds && { experimentalRejectedIds };
      },
    });
    return {
      timestamp: pulled!.timestamp,
      rejected: pushed ? rejectedRecords(pushed) : [],
      warnings: pushed?.warnings ?? [],
    };
  }

  #ensureNotStopped(stops: number): void {
    if (this.#stops !== stops) throw stopped();
  }

  #setStatus(change: Partial<SyncStatus>): void {
    this.#status = { ...this.#status, ...change };
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        // The app's mistake is reported as uncaught, and must not end the sync that it listens to.
        this.#clock.setTimeout(() => {
          throw error;
        }, 0);
      }
    }
  }
}

const stopped = () => new SyncError('stopped', 'Stopped during the sync');

const notRind = () => new SyncError('unexpected_answer', 'The answer to the pull names no account');

function stateAfter(error: SyncError): SyncState {
  if (error.isSignedOut) return 'signed_out';
  if (error.code === 'account_changed') return 'account_changed';
  if (error.code === 'stopped') return 'idle';
  if (error.code === 'network_error') return 'offline';
  return error.isTransient ? 'waiting' : 'error';
}

function rejectedRecords({ experimentalRejectedIds = {}, warnings }: PushResult): RejectedRecord[] {
  return Object.entries(experimentalRejectedIds).flatMap(([table, ids]) =>
    ids.map((id) => ({
      table,
      id,
      reasons: warnings.filter((warning) => warning.table === table && warning.id === id),
    })),
  );
}
