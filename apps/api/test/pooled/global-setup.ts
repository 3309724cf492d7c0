import { rmSync } from 'node:fs';
import setUpServer from '../support/global-setup.ts';
import { findPgBouncer, PgBouncer } from '../support/pgbouncer.ts';
import {
  ANSWERS_VARIABLE,
  TEST_SERVER_VARIABLE,
  type TestServer,
} from '../support/test-database.ts';

/** That of all tests, and PgBouncer in front of its server. */
export default async function globalSetup(): Promise<void> {
  const program = findPgBouncer();
  if (program === null) throw new Error('Tests behind PgBouncer need PgBouncer');
  await setUpServer();
  const stopServer = globalThis.stopTestServer;
  try {
    const server = JSON.parse(process.env[TEST_SERVER_VARIABLE]!) as TestServer;
    const pooler = await PgBouncer.start(program, server.url);
    globalThis.stopTestServer = async () => {
      await pooler.stop();
      await stopServer?.();
    };
    const pooled: TestServer = { ...server, poolerUrl: pooler.url };
    process.env[TEST_SERVER_VARIABLE] = JSON.stringify(pooled);
    // A part of the tests does not see every problem that routes declare.
    rmSync(process.env[ANSWERS_VARIABLE]!);
    delete process.env[ANSWERS_VARIABLE];
  } catch (error) {
    // Jest calls no teardown after a setup that failed.
    await stopServer?.();
    throw error;
  }
}
