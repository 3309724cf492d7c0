import pg from 'pg';
import type { ConnectionTarget } from './connection.ts';
import { codeOf } from './sql-code.ts';

/** Whether PostgreSQL refuses the file inside a transaction; it is a migration with no other statement then. */
export function isConcurrent(sql: string): boolean {
  return /\b(?:index|table)\s+concurrently\b|\breindex\s*\([^)]*\bconcurrently\b/i.test(
    codeOf(sql),
  );
}

/**
 * Where CREATE INDEX CONCURRENTLY is cut off or fails, the index stays behind, invalid: it takes the name and the
 * time of every write, and serves no read. IF NOT EXISTS would take it for the index that is wanted.
 */
export async function dropInvalidIndexes(
  client: pg.Client,
  { schema }: ConnectionTarget,
  sql: string,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE NOT indisvalid AND relnamespace = $1::regnamespace`,
    [pg.escapeIdentifier(schema)],
  );
  const names = rows.map(({ name }) => name).filter((name) => identifiersIn(sql).includes(name));
  for (const name of names) {
    const index = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
    await client.query(`DROP INDEX CONCURRENTLY ${index}`);
  }
  return names;
}

/** Names that are not quoted are folded to lower case. */
function identifiersIn(sql: string): string[] {
  return [...codeOf(sql).matchAll(/"([^"]+)"|\w+/g)].map(
    ([word, quoted]) => quoted ?? word.toLowerCase(),
  );
}
