import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { backUp } from '../../../../prisma/backup/back-up.ts';
import { FileOutput } from '../../../../prisma/backup/backup-file.ts';
import { restoreBackup } from '../../../../prisma/backup/restore.ts';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { readServerPid } from '../../../../scripts/embedded-postgres/orphan.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../scripts/embedded-postgres.ts';
import { codeBlock } from '../support/docs.js';
import { ready, readyWhen } from '../support/ready.js';
import { TestApp } from '../support/test-app.js';
import { dataDirectoryOf, databaseUrl } from '../support/test-database.js';

/** On a server of its own: roles belong to all databases, and only a superuser may make them. */
describe('the role of the database', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  /** As the role that owns it. */
  let url: string;
  let admin: pg.Client;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'rind-roles-'));
    // The server's own user has to enter it, where the tests run as root.
    await chmod(directory, 0o711);
    server = await startEmbeddedPostgres({ dataDir: directory, temporary: true });
    // Folders are named by it.
    url = databaseUrl(server.url, `roles_${randomUUID()}`);
    await deployMigrations({ databaseUrl: url });
    admin = await connectAsSuperuser();
  });
  afterAll(async () => {
    await admin.end();
    await server.stop();
    await rm(directory, { recursive: true });
    await rm(dataDirectoryOf(url), { recursive: true, force: true });
  });

  async function connectAsSuperuser(): Promise<pg.Client> {
    const rules = path.join(server.directory, 'pg_hba.conf');
    const others = await readFile(rules, 'utf8');
    await writeFile(rules, `host all postgres 127.0.0.1/32 trust\n${others}`);
    process.kill((await readServerPid(server.directory))!, 'SIGHUP');
    const address = new URL(url);
    address.username = 'postgres';
    address.password = '';
    // It reads its rules in its own time.
    for (;;) {
      const client = new pg.Client({ connectionString: address.href });
      const isIn = await client.connect().then(
        () => true,
        () => false,
      );
      if (isIn) return client;
    }
  }

  function addressOf(role: string): string {
    const address = new URL(url);
    address.username = role;
    address.password = 'new';
    return address.href;
  }

  const startAt = (address: string, env = {}) =>
    TestApp.start({ database: { url: address, drop: async () => undefined }, env });

  test('is told of where it may not use the queue, though it has all rights that can be granted', async () => {
    await admin.query(`CREATE ROLE stranger LOGIN PASSWORD 'new'`);
    for (const schema of ['public', 'graphile_worker']) {
      await admin.query(`GRANT ALL ON SCHEMA ${schema} TO stranger`);
      for (const kind of ['TABLES', 'SEQUENCES', 'FUNCTIONS']) {
        await admin.query(`GRANT ALL ON ALL ${kind} IN SCHEMA ${schema} TO stranger`);
      }
    }
    // The worker would say again and again that it may not work.
    const rind = await startAt(url, { DATABASE_URL: addressOf('stranger'), WORKER: 'off' });
    const { status, body } = await readyWhen(
      rind,
      ({ body: { checks } }) => checks['jobs'] !== undefined && checks['jobs'].status !== 'ok',
    );
    expect([status, body.status, body.checks['jobs']]).toEqual([
      200,
      'degraded',
      {
        status: 'degraded',
        detail: 'The role of the database may not use the queue of jobs',
      },
    ]);
    await rind.stop();
  });

  test('may be exchanged as the guide says, for one that does all that the first did', async () => {
    const first = await startAt(url);
    const statements = codeBlock('ops-secrets.md', 'sql', 'CREATE ROLE');
    await admin.query(statements.replaceAll('<new>', 'new'));
    const successor = addressOf('rind2');
    const second = await startAt(successor);
    await admin.query('ALTER ROLE rind NOLOGIN');
    const { user } = await second.signUp();
    expect(await second.mailsTo(user.email)).toHaveLength(1);
    expect(await ready(second)).toMatchObject({ body: { status: 'ok' } });
    await first.stop();
    await second.stop();

    const file = path.join(directory, 'backup.rind');
    const output = await FileOutput.open(file, { replace: false });
    await backUp({ databaseUrl: successor, version: '1.2.3', output });
    await admin.query('DROP SCHEMA public, graphile_worker CASCADE; CREATE SCHEMA public');
    await admin.query('ALTER SCHEMA public OWNER TO rind');
    await deployMigrations({ databaseUrl: successor });
    await restoreBackup({ databaseUrl: successor, file, replace: true });
    const { rows } = await admin.query<{ owner: string }>(
      `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class
       WHERE relnamespace IN ('public'::regnamespace, 'graphile_worker'::regnamespace)`,
    );
    expect(rows).toEqual([{ owner: 'rind' }]);
    const third = await startAt(successor);
    const { data } = await third.api.login({
      body: { email: user.email, password: 'correct horse battery' },
    });
    expect(data).toMatchObject({ user: { id: user.id } });
    await third.stop();
  });
});
