import { sharesSessions } from '@rind/database/shared-sessions';
import { Client } from 'pg';
import { type Config, ConfigError } from '../config/config.js';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Through a pooler in transaction mode, prepared statements and LISTEN work now and then, so that a wrong setting
 * would show as rare errors and as sessions whose end is not seen. A database that does not answer is another matter.
 * @throws ConfigError
 */
export async function refuseUnexpectedPooler({ database }: Config): Promise<void> {
  const { url, directUrl, preparedStatements } = database;
  const problems: string[] = [];
  const isDirectPooled = await isTransactionPooler(directUrl);
  if (preparedStatements && (url === directUrl ? isDirectPooled : await isTransactionPooler(url))) {
    problems.push(
      'DATABASE_PREPARED_STATEMENTS: must be off, since DATABASE_URL leads to a pooler in transaction mode',
    );
  }
  if (isDirectPooled) {
    problems.push(
      'DATABASE_DIRECT_URL: must lead to the server itself, not to a pooler in transaction mode, where nobody can listen',
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
}

async function isTransactionPooler(url: string): Promise<boolean> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    application_name: 'rind-start',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await sharesSessions(client, url);
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
