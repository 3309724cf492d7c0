import type { Problem } from '../generated/types.gen.js';

/** What went wrong without an answer of the server. */
export type LocalErrorCode =
  /** No answer: no connection, a broken one, or none in time. */
  | 'network_error'
  /** An answer that is not Rind's, as from a proxy or a captive portal. */
  | 'unexpected_answer'
  /** There are no tokens. */
  | 'signed_out'
  /** The local database holds another account's data. Nothing was applied or pushed. */
  | 'account_changed'
  /** `stop()` was called. */
  | 'stopped'
  /** The local database, the token storage or WatermelonDB failed; `cause` says how. */
  | 'client_error';

/** One of those or a problem's code; a later version of the server may have codes of its own. */
export type SyncErrorCode = LocalErrorCode | (string & {});

interface SyncErrorDetails {
  cause?: unknown;
  status?: number;
  problem?: Problem;
  retryAfterMs?: number;
}

/** What a sync can end with, beside success. */
export class SyncError extends Error {
  override readonly name = 'SyncError';
  /** HTTP status, where there was an answer. */
  readonly status: number | null;
  /** The server's problem document, where there was one. */
  readonly problem: Problem | null;
  /** How long the server asked to wait (`Retry-After`). */
  readonly retryAfterMs: number | null;

  constructor(
    readonly code: SyncErrorCode,
    message: string,
    { cause, status, problem, retryAfterMs }: SyncErrorDetails = {},
  ) {
    super(message, { cause });
    this.status = status ?? null;
    this.problem = problem ?? null;
    this.retryAfterMs = retryAfterMs ?? null;
  }

  /** Whether only a new sign-in helps. */
  get isSignedOut(): boolean {
    return signedOutCodes.has(this.code);
  }

  /** Whether the same sync may succeed later, so that it is tried again with growing delays. */
  get isTransient(): boolean {
    return (
      transientCodes.has(this.code) ||
      (this.status !== null && (this.status >= 500 || this.status === 429 || this.status === 408))
    );
  }
}

const signedOutCodes: ReadonlySet<SyncErrorCode> = new Set<SyncErrorCode>([
  'signed_out',
  'session_ended',
  'refresh_token_invalid',
  'refresh_token_reused',
]);

const transientCodes: ReadonlySet<SyncErrorCode> = new Set<SyncErrorCode>([
  'network_error',
  'unexpected_answer',
  // Another device was faster twice in a row.
  'sync_conflict',
  // Even after a refresh: the clocks of token and server need a moment to agree.
  'access_token_expired',
]);

/** An answer outside 2xx as an error; `body` is its text. */
export function errorOfAnswer(answer: Response, body: string, nowMs: number): SyncError {
  const { status } = answer;
  const retryAfterMs = parseRetryAfter(answer.headers.get('retry-after'), nowMs);
  const problem = parseProblem(body);
  const details = { status, ...(retryAfterMs !== null && { retryAfterMs }) };
  return problem
    ? new SyncError(problem.code, problem.detail, { ...details, problem })
    : new SyncError('unexpected_answer', `The answer was ${status} without a problem`, details);
}

function parseProblem(body: string): Problem | null {
  try {
    const parsed = JSON.parse(body) as Partial<Problem> | null;
    return typeof parsed?.code === 'string' && typeof parsed.detail === 'string'
      ? (parsed as Problem)
      : null;
  } catch {
    return null;
  }
}

/** A mistake in the header must not silence a device for ever. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/** Seconds or a date (RFC 9110, section 10.2.3), as milliseconds from now. */
function parseRetryAfter(value: string | null, nowMs: number): number | null {
  if (value === null || value.trim() === '') return null;
  const seconds = Number(value);
  const delayMs = Number.isNaN(seconds) ? Date.parse(value) - nowMs : seconds * 1000;
  return Number.isNaN(delayMs) ? null : Math.min(Math.max(delayMs, 0), MAX_RETRY_AFTER_MS);
}

export function toSyncError(error: unknown): SyncError {
  if (error instanceof SyncError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SyncError('client_error', message, { cause: error });
}
