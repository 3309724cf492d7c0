/** A failure whose message is written for the person at the terminal: shown without a stack. */
export class MigrateError extends Error {
  override name = 'MigrateError';
}

/** What was typed makes no sense. */
export class UsageError extends MigrateError {}

/** One line for an error that this tool did not raise itself, such as a refused connection. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError) {
    // Node tries every address of a host and reports them together, with an empty message.
    return error.errors.map(describeError).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}

/** The SQLSTATE of an error from PostgreSQL, undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) {
    return undefined;
  }
  return typeof error.code === 'string' ? error.code : undefined;
}

/** A lock was not granted within `lock_timeout`. */
export const LOCK_NOT_AVAILABLE = '55P03';
