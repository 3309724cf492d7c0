import pg from 'pg';

const ATTEMPTS = 20;
/** Of the second connection, which a pooler may leave waiting for ever. */
const TIMEOUT_MS = 5_000;

/** What the types of `pg` leave out: the process id that the server, or a pooler, told at the start. */
type ConnectedClient = pg.Client & { readonly processID: number };

/**
 * Whether a pooler in transaction mode is in between, which gives one session of the server to connections in
 * turn: locks, settings and LISTEN of a session would be lost, or be somebody else's. True is proven; a pooler
 * with much to do may escape it.
 */
export async function sharesSessions(client: pg.Client, url: string): Promise<boolean> {
  const { processID } = client as ConnectedClient;
  if ((await sessionOf(client)) === processID) return false;
  // Poolers tell a number of their own, and so do proxies that share nothing.
  const other = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  other.on('error', () => undefined);
  try {
    await other.connect();
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if ((await sessionOf(client)) === (await sessionOf(other))) return true;
    }
    return false;
  } finally {
    await other.end();
  }
}

async function sessionOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
}
