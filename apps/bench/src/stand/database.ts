import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { dropDatabase } from '../../../../prisma/migrate/drop-database.ts';
import { startEmbeddedPostgres } from '../../../../scripts/embedded-postgres.ts';
import type { Teardown } from './teardown.ts';

/** A migrated database of this run's own, dropped at its end, with a connection to arrange things. */
export interface BenchDatabase {
  readonly url: string;
  readonly admin: pg.Client;
}

export async function createDatabase(
  serverUrl: string,
  teardown: Teardown,
): Promise<BenchDatabase> {
  const name = `rind_bench_${randomUUID().replaceAll('-', '')}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  teardown.add(() => dropNamed(serverUrl, name));
  await deployMigrations({ databaseUrl: url.href });
  const admin = new pg.Client({ connectionString: url.href, application_name: 'rind-bench' });
  await admin.connect();
  teardown.add(() => admin.end());
  return { url: url.href, admin };
}

/** A server as an operator would run it: what is committed is on the disk. */
export async function startServer(teardown: Teardown): Promise<string> {
  // Not made here: the server's user has to pass through it, which is seen to for a new folder.
  const dataDir = path.join(tmpdir(), `rind-bench-${randomUUID()}`);
  teardown.add(() => rm(dataDir, { recursive: true, force: true }));
  const starting = startEmbeddedPostgres({ dataDir });
  teardown.add(async () => (await starting).stop());
  return (await starting).url;
}

async function dropNamed(serverUrl: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await dropDatabase(client, name);
  } finally {
    await client.end();
  }
}
