import { createTestDatabase } from '../support/test-database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { TestApp } from '../support/test-app.js';
import { installDatabaseClock } from './database-clock.js';
import { CLOCK_OFFSETS_MS, type Deployment, QUIET } from './deployment.js';
import { ProcessClocks } from './process-clocks.js';

/**
 * Two instances in this process, on a database of the test server, which loses its connections as by a
 * restart. Fast, and needs no build: instances in one process share the event loop and nothing else.
 */
export async function deployInProcess(): Promise<Deployment> {
  ProcessClocks.install();
  const database = await createTestDatabase();
  await installDatabaseClock(database.url);
  const wire = await TcpProxy.start(database.pooledUrl ?? database.url);
  const wired = { ...database, [database.pooledUrl ? 'pooledUrl' : 'url']: wire.url };
  const start = () => TestApp.start({ env: QUIET, database: wired });
  const instances = [await start(), await start()];
  const [first] = instances as [TestApp, TestApp];
  instances.forEach((instance, index) => ProcessClocks.shift(instance, CLOCK_OFFSETS_MS[index]!));
  return {
    urls: instances.map(({ url }) => url),
    wire,
    sql: first.sql,
    signUp: () => first.signUp(),
    interrupt: async () => {
      await first.sql.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
    },
    stop: async () => {
      for (const instance of instances) await instance.stop();
      await wire.close();
      await database.drop();
      ProcessClocks.uninstall();
    },
  };
}
