import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { AuthResult } from '@rind/contracts';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { readServerPid } from '../../../../scripts/embedded-postgres/orphan.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../scripts/embedded-postgres.ts';
import { ApiProcess } from '../support/api-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import type { Account } from '../support/test-app.js';
import { witness } from '../support/witness.js';
import { installDatabaseClock } from './database-clock.js';
import { CLOCK_OFFSETS_MS, type Deployment, type Interruption, QUIET } from './deployment.js';

const PASSWORD = 'correct horse battery';

const environment = {
  ...QUIET,
  RATE_LIMIT_ANON_PER_MINUTE: '100000',
  RATE_LIMIT_USER_PER_MINUTE: '100000',
  RATE_LIMIT_SYNC_PER_MINUTE: '100000',
  RATE_LIMIT_AUTH_PER_MINUTE: '100000',
};

/** Two processes of the built API, and a PostgreSQL server of their own, which really stops and starts. */
export async function deployProcesses(): Promise<Deployment> {
  const server = await RestartableServer.start();
  await deployMigrations({ databaseUrl: server.url });
  await installDatabaseClock(server.url);
  const wire = await TcpProxy.start(server.url);
  const instances = await Promise.all(
    CLOCK_OFFSETS_MS.map((clockOffsetMs) =>
      ApiProcess.start({ ...environment, DATABASE_URL: wire.url }, { clockOffsetMs }),
    ),
  );
  const sql = new pg.Pool({ connectionString: wire.url, max: 2 });
  sql.on('error', () => undefined);
  return {
    urls: instances.map(({ url }) => new URL(url).origin),
    wire,
    sql,
    signUp: () => signUp(instances[0]!),
    interrupt: async (how) => {
      await server.restart(how);
      wire.retarget(server.url);
    },
    stop: async () => {
      await Promise.all(instances.map((instance) => instance.stop()));
      await sql.end();
      await wire.close();
      try {
        await witness.search(server.url);
      } finally {
        await server.stop();
      }
    },
  };
}

async function signUp(api: ApiProcess): Promise<Account> {
  const { status, body } = await api.request<AuthResult>('POST', '/auth/register', {
    body: { email: `${randomUUID()}@example.com`, password: PASSWORD, displayName: 'Ada' },
  });
  if (status !== 201) throw new Error(`Nobody could sign up: ${status}`);
  const account = body as AuthResult & { accessToken: string; refreshToken: string };
  return { ...account, password: PASSWORD, id: account.user.id };
}

/** Keeps what it acknowledged, unlike the server of the other tests, and comes back on another port. */
class RestartableServer {
  private constructor(
    private readonly dataDir: string,
    private server: EmbeddedPostgres,
  ) {}

  static async start(): Promise<RestartableServer> {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-histories-'));
    // The server's own user has to enter it, where the tests run as root.
    await chmod(dataDir, 0o711);
    return new RestartableServer(dataDir, await startEmbeddedPostgres({ dataDir }));
  }

  get url(): string {
    return this.server.url;
  }

  async restart(how: Interruption): Promise<void> {
    if (how === 'crash') await this.crash();
    // Takes note of a server that has ended; else stops it in the way of `pg_ctl stop -m fast`.
    await this.server.stop();
    this.server = await startEmbeddedPostgres({ dataDir: this.dataDir });
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** `pg_ctl stop -m immediate`: no checkpoint is written, and the next start recovers from the log. */
  private async crash(): Promise<void> {
    const pid = await readServerPid(this.server.directory);
    if (pid === undefined) throw new Error('The server does not run');
    process.kill(pid, 'SIGQUIT');
    await this.server.ended;
  }
}
