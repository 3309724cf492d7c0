import type { ClientToServerEvents, ServerToClientEvents } from '@rind/contracts';
import { io, type Socket } from 'socket.io-client';
import { REALTIME_NAMESPACE, REALTIME_PATH } from '../generated/realtime.gen.js';
import { backOffMs } from './back-off.js';
import type { Clock } from './clock.js';
import { toSyncError } from './sync-error.js';
import { claimsOf, type TokenKeeper, type Tokens } from './tokens.js';

export interface RealtimeConnectionOptions {
  baseUrl: string;
  /** Shared with the sync, so that both refresh once. */
  tokens: TokenKeeper;
  clock: Clock;
  /** 0 up to 1, for jitter. */
  random: () => number;
  /** Whether wake-ups arrive. What changed before they did has to be pulled. */
  onOpenChanged: (isOpen: boolean) => void;
  /** The server has news up to this timestamp; undefined when it does not say. */
  onNews: (timestamp: number | undefined) => void;
  /** The server refuses these tokens. Only a refresh tells whether the user is signed out. */
  onSessionDoubted: (tokens: Tokens) => void;
}

/**
 * - `off`: not started.
 * - `connecting`: tokens are loaded or refreshed, or the server has not answered yet.
 * - `open`: wake-ups arrive.
 * - `waiting`: the next attempt comes by itself.
 * - `refused`: the next attempt comes when a sync has succeeded.
 */
type Phase = 'off' | 'connecting' | 'open' | 'waiting' | 'refused';

type RealtimeSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** A socket that lived for so long was no failure. */
const STABLE_MS = 30_000;
/** Of a token's lifetime, after which it is renewed. */
const RENEWED_AFTER = 0.9;

/** Listens for wake-ups on a socket that it opens again whenever it breaks. */
export class RealtimeConnection {
  #phase: Phase = 'off';
  #socket: RealtimeSocket | null = null;
  /** Those that were sent last. */
  #tokens: Tokens | null = null;
  #openedAt = 0;
  #isAnnounced = false;
  /** Until the next attempt, or until the token is renewed. */
  #timer: { readonly handle: unknown } | null = null;
  #failures = 0;
  /** Whether a refresh or a sign-in should have mended the failures. */
  #isMended = false;
  /** Grows with each attempt and each end: what went on elsewhere meanwhile is not wanted any more. */
  #turn = 0;

  constructor(private readonly options: RealtimeConnectionOptions) {}

  start(): void {
    if (this.#phase === 'off') void this.#connect();
  }

  stop(): void {
    this.#leave('off');
    this.#forgive();
    this.#announce();
  }

  /**
   * To be called when a sync has succeeded: the app may have signed in again meanwhile, or the
   * network may be back.
   */
  async follow({ wasOffline }: { wasOffline: boolean }): Promise<void> {
    if (this.#phase === 'off') return;
    const turn = this.#turn;
    const stored = await this.options.tokens.load().catch(() => null);
    if (turn !== this.#turn || !stored) return;
    if (!this.#tokens || sessionOf(stored) !== sessionOf(this.#tokens)) {
      this.#forgive();
      void this.#connect();
    } else if (this.#phase === 'refused') this.#connectAgain();
    else if (this.#phase === 'waiting' && wasOffline) void this.#connect();
  }

  async #connect(): Promise<void> {
    const tokens = await this.#work(() => this.options.tokens.load());
    if (tokens) this.#open(tokens);
  }

  #open(tokens: Tokens): void {
    const [, origin = '', prefix = ''] = /^(\w+:\/\/[^/]*)?(.*?)\/*$/.exec(this.options.baseUrl)!;
    const socket: RealtimeSocket = io(origin + REALTIME_NAMESPACE, {
      path: prefix + REALTIME_PATH,
      transports: ['websocket'],
      auth: { token: tokens.accessToken },
      // A connection of its own, whose delays are those of syncs.
      forceNew: true,
      reconnection: false,
    });
    this.#socket = socket;
    this.#tokens = tokens;
    socket.on('connect', () => this.#onOpen());
    socket.on('connect_error', (error) => this.#onRefused(codeOf(error)));
    socket.on('disconnect', () => this.#connectLater());
    socket.on('session:ended', () => this.#doubt());
    socket.on('sync:changed', (payload?: Partial<{ timestamp: number }>) =>
      this.options.onNews(payload?.timestamp),
    );
  }

  #onOpen(): void {
    this.#phase = 'open';
    this.#openedAt = this.options.clock.now();
    this.#renewLater(0);
    this.#announce();
  }

  #onRefused(code: unknown): void {
    if (code === 'access_token_expired') void this.#refreshAndConnect(this.#tokens!);
    else if (code === 'session_ended' || code === 'unauthenticated') this.#doubt();
    else this.#connectLater();
  }

  async #refreshAndConnect(used: Tokens): Promise<void> {
    this.#failures += 1;
    if (await this.#work(() => this.options.tokens.refresh(used))) this.#connectAgain();
  }

  #doubt(): void {
    this.#leave('refused');
    this.#failures += 1;
    this.options.onSessionDoubted(this.#tokens!);
    this.#announce();
  }

  /** Null when it failed, which is seen to here, or when nobody wants the tokens any more. */
  async #work(getTokens: () => Promise<Tokens>): Promise<Tokens | null> {
    const turn = this.#leave('connecting');
    this.#announce();
    if (turn !== this.#turn) return null;
    try {
      const tokens = await getTokens();
      return turn === this.#turn ? tokens : null;
    } catch (error) {
      if (turn === this.#turn) this.#onNoTokens(error);
      return null;
    }
  }

  #onNoTokens(error: unknown): void {
    const { isSignedOut, retryAfterMs } = toSyncError(error);
    if (!isSignedOut) this.#connectLater(retryAfterMs ?? 0);
    else if (this.#tokens) this.#doubt();
    else this.#leave('refused');
  }

  /** At once, unless that did not help before. */
  #connectAgain(): void {
    if (this.#isMended) this.#connectIn(backOffMs(this.#failures - 1, this.options.random));
    else void this.#connect();
    this.#isMended = true;
  }

  #connectLater(atLeastMs = 0): void {
    const { random } = this.options;
    this.#leave('waiting');
    this.#failures += 1;
    this.#connectIn(Math.max(backOffMs(this.#failures, random), atLeastMs));
  }

  #connectIn(delayMs: number): void {
    this.#leave('waiting');
    this.#setTimer(delayMs, () => void this.#connect());
    this.#announce();
  }

  /**
   * By the device's clock, within what can be: a wrong clock makes it later or earlier, but not more
   * frequent than `earliest`, a share of the lifetime, allows.
   */
  #renewLater(earliest: number): void {
    const { iat, exp } = claimsOf(this.#tokens!.accessToken);
    if (typeof iat !== 'number' || typeof exp !== 'number') return;
    const lifetimeMs = (exp - iat) * 1000;
    const renewAt = iat * 1000 + lifetimeMs * RENEWED_AFTER;
    const delayMs = Math.max(renewAt - this.options.clock.now(), lifetimeMs * earliest);
    const longestMs = lifetimeMs * RENEWED_AFTER;
    this.#setTimer(Math.min(delayMs, longestMs), () => void this.#renew());
  }

  /** When it does not succeed, the server ends the socket in time, and the next one begins with a refresh. */
  async #renew(): Promise<void> {
    const turn = this.#turn;
    const renewed = await this.options.tokens.refresh(this.#tokens!).catch(() => null);
    if (turn !== this.#turn || !renewed) return;
    this.#socket?.emit('auth:renew', { token: renewed.accessToken }, (answer) => {
      if (turn !== this.#turn) return;
      this.#tokens = renewed;
      if (answer.ok) this.#renewLater(0.5);
      else this.#onRefused(answer.code);
    });
  }

  /** Ends what there is. */
  #leave(phase: Phase): number {
    const wasOpen = this.#phase === 'open';
    this.#phase = phase;
    this.#turn += 1;
    if (this.#timer) this.options.clock.clearTimeout(this.#timer.handle);
    this.#timer = null;
    // What its end would tell is known.
    this.#socket?.off().close();
    this.#socket = null;
    const isStable = wasOpen && this.options.clock.now() - this.#openedAt >= STABLE_MS;
    if (isStable) this.#forgive();
    return this.#turn;
  }

  /** The last step of each change: whoever hears of it may start or stop. */
  #announce(): void {
    const isOpen = this.#phase === 'open';
    if (isOpen === this.#isAnnounced) return;
    this.#isAnnounced = isOpen;
    this.options.onOpenChanged(isOpen);
  }

  #forgive(): void {
    this.#failures = 0;
    this.#isMended = false;
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#timer = { handle: this.options.clock.setTimeout(callback, delayMs) };
  }
}

const sessionOf = ({ accessToken }: Tokens) => claimsOf(accessToken)['sid'];

/** Of a handshake that Rind refused; undefined when it was not reached. */
const codeOf = (error: Error) => (error as { data?: { code?: unknown } | null }).data?.code;
