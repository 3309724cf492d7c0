import type { AuthResult, PullResult, PushResult } from '../generated/types.gen.js';
import type { SyncPullArgs, SyncPushArgs } from '@nozbe/watermelondb/sync/index.js';
import type { Clock } from './clock.js';
import { errorOfAnswer, SyncError } from './sync-error.js';
import { TokenKeeper, type TokenStorage, type Tokens, userOfToken } from './tokens.js';

export interface SyncApiOptions {
  /** Origin of the API, such as `https://api.example.com`. */
  baseUrl: string;
  tokenStorage: TokenStorage;
  fetch: typeof fetch;
  clock: Clock;
  requestTimeoutMs: number;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

/** The requests of a sync. Everything they reject with is a `SyncError`, but for failures of the storage. */
export class SyncApi {
  readonly tokens: TokenKeeper;
  readonly #running = new Set<AbortController>();

  constructor(private readonly options: SyncApiOptions) {
    this.tokens = new TokenKeeper(options.tokenStorage, (refreshToken) =>
      this.#call<AuthResult>({ method: 'POST', path: '/auth/refresh', body: { refreshToken } }),
    );
  }

  /** `ensureWanted` throws when the request is not to be sent any more. */
  pull(
    { lastPulledAt, schemaVersion, migration }: SyncPullArgs,
    ensureWanted: () => void,
  ): Promise<PullResult> {
    const query = [`schemaVersion=${schemaVersion}`];
    if (lastPulledAt) query.push(`lastPulledAt=${lastPulledAt}`);
    if (migration) query.push(`migration=${encodeURIComponent(JSON.stringify(migration))}`);
    return this.#authorized({ method: 'GET', path: `/sync/pull?${query.join('&')}` }, ensureWanted);
  }

  /** Sends nothing under a token of another user than `account`. */
  push(
    { changes, lastPulledAt }: SyncPushArgs,
    account: string,
    ensureWanted: () => void,
  ): Promise<PushResult> {
    const call: Call = { method: 'POST', path: '/sync/push', body: { changes, lastPulledAt } };
    return this.#authorized(call, ({ accessToken }) => {
      ensureWanted();
      if (userOfToken(accessToken) === account) return;
      throw new SyncError('account_changed', 'Another user signed in between pull and push');
    });
  }

  /** Breaks off what is under way. */
  abort(): void {
    for (const controller of this.#running) controller.abort();
  }

  /** `ensureMaySend` sees the tokens as they are right before the request, which goes out in the same turn. */
  async #authorized<Answer>(call: Call, ensureMaySend: (tokens: Tokens) => void): Promise<Answer> {
    const send = (tokens: Tokens): Promise<Answer> => {
      ensureMaySend(tokens);
      return this.#call(call, tokens.accessToken);
    };
    const tokens = await this.tokens.load();
    try {
      return await send(tokens);
    } catch (error) {
      if (!(error instanceof SyncError) || !refreshableCodes.has(error.code)) throw error;
      return await send(await this.tokens.refresh(tokens));
    }
  }

  async #call<Answer>({ method, path, body }: Call, accessToken?: string): Promise<Answer> {
    const { baseUrl, fetch, clock } = this.options;
    const { answer, text } = await this.#interruptible(async (signal) => {
      const response = await fetch(`${baseUrl.replace(/\/+$/, '')}/api/v1${path}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
      return { answer: response, text: await response.text() };
    });
    if (!answer.ok) throw errorOfAnswer(answer, text, clock.now());
    try {
      return JSON.parse(text) as Answer;
    } catch (cause) {
      throw new SyncError('unexpected_answer', 'The answer is not JSON', { cause });
    }
  }

  async #interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const { clock, requestTimeoutMs } = this.options;
    const controller = new AbortController();
    const timer = clock.setTimeout(() => controller.abort(), requestTimeoutMs);
    this.#running.add(controller);
    try {
      return await work(controller.signal);
    } catch (cause) {
      throw new SyncError('network_error', 'The server could not be reached', { cause });
    } finally {
      clock.clearTimeout(timer);
      this.#running.delete(controller);
    }
  }
}

/** A token that was damaged on the device is worth a refresh, too: its answer tells what to do. */
const refreshableCodes: ReadonlySet<string> = new Set(['access_token_expired', 'unauthenticated']);
