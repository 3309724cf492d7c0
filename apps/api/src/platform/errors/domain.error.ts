import type { ErrorCode, ProblemFault } from '@rind/contracts';

interface DomainErrorOptions {
  /** Which occurrence this is, for the caller's eyes; without it the code's meaning is used. */
  readonly detail?: string;
  readonly faults?: readonly ProblemFault[];
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** A refusal that a service foresees. Knows its code, not its HTTP status. */
export class DomainError extends Error {
  override readonly name: string = 'DomainError';
  readonly detail: string | undefined;
  readonly faults: readonly ProblemFault[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    readonly code: ErrorCode,
    options: DomainErrorOptions = {},
  ) {
    super(options.detail ?? code, { cause: options.cause });
    this.detail = options.detail;
    this.faults = options.faults;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
