import pg from 'pg';

/**
 * Drops a database, whoever of this role is still connected to it. Not by `WITH (FORCE)`: that fails
 * while an autovacuum is at work in there, which only a superuser may cut off, and which a plain drop
 * sends away by itself.
 */
export async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = $1 AND usename = current_user`,
    [name],
  );
  await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)}`);
}
