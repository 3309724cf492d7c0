import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { dropDatabase } from '../../../../prisma/migrate/drop-database.ts';
import { startEmbeddedPostgres } from '../../../../scripts/embedded-postgres.ts';
import {
  ANSWERS_VARIABLE,
  TEST_SERVER_VARIABLE,
  type TestServer,
  databaseUrl,
} from './test-database.ts';

declare global {
  /** Set by the global setup for the global teardown, which Jest loads as a module of its own. */
  var stopTestServer: (() => Promise<void>) | undefined;
}

/**
 * One PostgreSQL for the whole run: that of TEST_DATABASE_URL, else an embedded one. On it a migrated
 * template, which every test file copies.
 */
export default async function globalSetup(): Promise<void> {
  const { url, stop } = await startServer();
  globalThis.stopTestServer = stop;
  try {
    const run = await TestRun.begin(url);
    globalThis.stopTestServer = async () => {
      await run.end();
      await stop();
    };
    const template = databaseUrl(url, run.server.template);
    await deployMigrations({ databaseUrl: template });
    await recordJobs(template);
    process.env[TEST_SERVER_VARIABLE] = JSON.stringify(run.server);
    const answers = path.join(tmpdir(), `${run.server.namePrefix}answers`);
    await writeFile(answers, '');
    process.env[ANSWERS_VARIABLE] = answers;
  } catch (error) {
    // Jest calls no teardown after a setup that failed.
    await globalThis.stopTestServer();
    throw error;
  }
}

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) {
    return { url: given, stop: async () => undefined };
  }
  const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-test-'));
  const server = await startEmbeddedPostgres({ dataDir, temporary: true });
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A job that is done leaves no trace, and its payload stood in a table all the same: keeps a copy. */
async function recordJobs(template: string): Promise<void> {
  const client = new pg.Client({ connectionString: template });
  await client.connect();
  await client.query(`
    CREATE SCHEMA test_record;
    CREATE TABLE test_record.jobs (job jsonb);
    CREATE FUNCTION test_record.keep() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO test_record.jobs VALUES (to_jsonb(NEW)); RETURN NULL; END $$;
    CREATE TRIGGER test_record AFTER INSERT OR UPDATE ON graphile_worker._private_jobs
      FOR EACH ROW EXECUTE FUNCTION test_record.keep()`);
  await client.end();
}

const NAME = /^rind_test_([0-9a-f]{8})_/;

/**
 * The databases of one run. Its advisory lock says that it is alive: what runs leave behind that were
 * killed on a server of their own is removed by the next one, and nothing of a run beside this one.
 */
class TestRun {
  readonly server: TestServer;
  readonly #id: string;
  readonly #client: pg.Client;

  private constructor(url: string, id: string, client: pg.Client) {
    const namePrefix = `rind_test_${id}_`;
    this.server = { url, namePrefix, template: `${namePrefix}template` };
    this.#id = id;
    this.#client = client;
  }

  static async begin(url: string): Promise<TestRun> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const run = new TestRun(url, randomBytes(4).toString('hex'), client);
    await client.query('SELECT pg_advisory_lock(hashtext($1))', [run.#id]);
    for (const id of await run.#runs()) {
      await run.#dropUnlessAlive(id);
    }
    return run;
  }

  async end(): Promise<void> {
    await this.#drop(this.#id);
    await this.#client.end();
  }

  async #databases(): Promise<string[]> {
    const { rows } = await this.#client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE datname ~ $1',
      [NAME.source],
    );
    return rows.map(({ datname }) => datname);
  }

  async #runs(): Promise<Set<string>> {
    const names = await this.#databases();
    return new Set(names.flatMap((name) => NAME.exec(name)?.[1] ?? []));
  }

  async #dropUnlessAlive(id: string): Promise<void> {
    const { rows } = await this.#client.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_lock(hashtext($1)) AS locked',
      [id],
    );
    if (rows[0]?.locked === true) {
      await this.#drop(id);
      await this.#client.query('SELECT pg_advisory_unlock(hashtext($1))', [id]);
    }
  }

  async #drop(id: string): Promise<void> {
    const names = await this.#databases();
    for (const name of names.filter((candidate) => NAME.exec(candidate)?.[1] === id)) {
      await dropDatabase(this.#client, name);
    }
  }
}
