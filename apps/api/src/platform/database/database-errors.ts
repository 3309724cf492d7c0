/**
 * SQLSTATE of an error from `pg` or from Prisma's adapter over it, undefined for any other error.
 * Prisma wraps it: a failed raw query is P2010 and a failed model call P2034 for the same SQLSTATE.
 */
function sqlState(error: unknown): string | undefined {
  if (!isError(error)) return undefined;
  const code = adapterCause(error)?.originalCode;
  if (code !== undefined) return code;
  return 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : undefined;
}

/** By shape: errors of Node's own modules are no instances of the `Error` that Jest gives to tests. */
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value && 'stack' in value;
}

interface PrismaErrorMeta {
  readonly driverAdapterError?: {
    readonly cause?: AdapterCause;
  };
}

/** What Prisma's adapter made of an error of `pg`; failures of the connection have a kind and no SQLSTATE. */
interface AdapterCause {
  readonly kind: string;
  readonly originalCode?: string;
  readonly constraint?: { readonly index?: string };
}

function adapterCause(error: Error): AdapterCause | undefined {
  const meta = 'meta' in error ? (error.meta as PrismaErrorMeta | undefined) : undefined;
  const cause = meta?.driverAdapterError?.cause ?? error.cause;
  return isAdapterCause(cause) ? cause : undefined;
}

/** The adapter's own error, which escapes Prisma from within a transaction, has it as its cause. */
function isAdapterCause(cause: unknown): cause is AdapterCause {
  return typeof cause === 'object' && cause !== null && 'kind' in cause;
}

const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';

/** Whether repeating the whole transaction may succeed. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === SERIALIZATION_FAILURE || state === DEADLOCK_DETECTED;
}

/** Whether a row was refused because of this unique index. */
export function violatesIndex(error: unknown, index: string): boolean {
  return isError(error) && adapterCause(error)?.constraint?.index === index;
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

const connectionFailureKinds = new Set([
  'ConnectionClosed',
  'DatabaseNotReachable',
  'SocketTimeout',
  'TlsConnectionError',
]);

/**
 * Connection exception, a transaction left open for too long, refused sign-in, no such database, too many
 * connections, a database closed for maintenance, shut down or starting; a statement or a lock that took
 * too long.
 */
const connectionStates = /^(08...|25P03|28...|3D000|53300|55000|55P03|57014|57P0[1-5])$/;

/** Messages of `pg` and `pg-pool`, which give these errors no code. */
const connectionMessages = [
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Query read timeout',
  'Connection terminated',
  'Client was closed',
  'Client has encountered a connection error',
];

/** What a line in the log says of a lost connection: without a stack, which tells nothing of it. */
export function reasonOf(error: unknown): string {
  if (!isError(error)) return String(error);
  // A host with several addresses has an error for each, and a message for none.
  return error.message || ('code' in error ? String(error.code) : error.name);
}

/** What a line in the log has of an error: its stack, unless it is one of a lost connection. */
export function causeOf(error: unknown): { readonly reason: string } | { readonly err: unknown } {
  return isDatabaseUnavailable(error) ? { reason: reasonOf(error) } : { err: error };
}

/** Whether the database could not be reached, refused the connection, or could not serialise the work in time. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!isError(error)) return false;
  if (isRetryable(error)) return true;
  const code = 'code' in error ? String(error.code) : '';
  if (connectionErrors.has(code)) return true;
  if (connectionStates.test(sqlState(error) ?? '')) return true;
  // A raw query that fails so is P2010, like every other one that fails.
  if (connectionFailureKinds.has(adapterCause(error)?.kind ?? '')) return true;
  if (connectionMessages.some((message) => error.message.startsWith(message))) return true;
  return error.cause !== undefined && isDatabaseUnavailable(error.cause);
}
