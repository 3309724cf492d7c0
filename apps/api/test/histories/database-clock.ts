import pg from 'pg';

/**
 * Gives the database's machine a clock that tests may move: the engine's statements find this function
 * before PostgreSQL's own. For connections made from now on.
 */
export async function installDatabaseClock(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>('SELECT current_database() AS name');
    await client.query(`
      CREATE SCHEMA test_clock;
      CREATE TABLE test_clock.shift (minutes integer NOT NULL);
      INSERT INTO test_clock.shift VALUES (0);
      CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
      RETURN (SELECT pg_catalog.clock_timestamp() + minutes * interval '1 minute' FROM test_clock.shift);
      ALTER DATABASE ${pg.escapeIdentifier(rows[0]!.name)}
        SET search_path = test_clock, public, pg_catalog`);
  } finally {
    await client.end();
  }
}

/** Away from the true time, backwards too. */
export async function setDatabaseClock(sql: pg.Pool, minutes: number): Promise<void> {
  await sql.query('UPDATE test_clock.shift SET minutes = $1', [minutes]);
}
