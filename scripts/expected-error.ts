/** A failure its reader can act on: scripts print the message alone, without a stack trace. */
export class ExpectedError extends Error {
  override name = 'ExpectedError';
}

export function describeError(error: unknown): string {
  if (error instanceof ExpectedError) return error.message;
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}
