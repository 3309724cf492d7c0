/**
 * SQLSTATE of an error from `pg` or from Prisma's adapter over it, undefined for any other error.
 * Prisma wraps it: a failed raw query is P2010 and a failed model call P2034 for the same SQLSTATE.
 */
function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const meta = 'meta' in error ? (error.meta as PrismaErrorMeta | undefined) : undefined;
  const cause = meta?.driverAdapterError?.cause;
  if (cause?.originalCode !== undefined) return cause.originalCode;
  return 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : undefined;
}

interface PrismaErrorMeta {
  readonly driverAdapterError?: {
    readonly cause?: { readonly originalCode?: string };
  };
}

const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';

/** Whether repeating the whole transaction may succeed. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === SERIALIZATION_FAILURE || state === DEADLOCK_DETECTED;
}

export function isUniqueViolation(error: unknown): boolean {
  return (
    sqlState(error) === '23505' ||
    (error instanceof Error && 'code' in error && error.code === 'P2002')
  );
}

const connectionErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  // Prisma: server not reachable, connection closed, no connection in time
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2028',
]);

/** Messages of `pg` and `pg-pool`, which give these errors no code. */
const connectionMessages = [
  'timeout exceeded when trying to connect',
  'Connection terminated',
  'Client has encountered a connection error',
];

/** Whether the database could not be reached, refused the connection, or could not serialise the work in time. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isRetryable(error)) return true;
  const code = 'code' in error ? String(error.code) : '';
  if (connectionErrors.has(code)) return true;
  // Class 08: connection exception. 57P01 to 57P03: shut down, crashed, starting. 53300: too many connections.
  if (/^(08...|57P0[123]|53300)$/.test(sqlState(error) ?? '')) return true;
  if (connectionMessages.some((message) => error.message.startsWith(message))) return true;
  return error.cause !== undefined && isDatabaseUnavailable(error.cause);
}
