import { runMigrations, Logger } from 'graphile-worker';
import type { ConnectionTarget } from './connection.ts';

/** What goes wrong is thrown; the rest is of no interest to whoever migrates. */
const silent = new Logger(() => () => undefined);

/** Brings the job queue's own schema, `graphile_worker`, up to date. It keeps its history in there. */
export async function migrateJobQueue({ url }: ConnectionTarget): Promise<void> {
  await runMigrations({ connectionString: url, maxPoolSize: 1, logger: silent });
}
