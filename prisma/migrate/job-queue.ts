import { runMigrations, Logger } from 'graphile-worker';
import pg from 'pg';
import { type ConnectionTarget, creatingSchema, sessionSettings } from './connection.ts';

/** What goes wrong is thrown; the rest is of no interest to whoever migrates. */
const silent = new Logger(() => () => undefined);

/** Brings the job queue's own schema, `graphile_worker`, up to date. It keeps its history in there. */
export async function migrateJobQueue(target: ConnectionTarget): Promise<void> {
  const pool = new pg.Pool({ connectionString: target.url, max: 1 });
  // A session that breaks fails its next query; without a listener it would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
    // Comes before all that is asked of it; where it fails, so does that.
    client.query(sessionSettings(target)).catch(() => undefined);
  });
  try {
    await creatingSchema(target, () => runMigrations({ pgPool: pool, logger: silent }));
  } finally {
    await pool.end();
  }
}
