import { randomUUID } from 'node:crypto';
import type { AuthResult } from '@rind/contracts';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { ApiProcess } from '../support/api-process.js';
import { RestartableServer } from '../support/restartable-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import type { Account } from '../support/test-app.js';
import { witness } from '../support/witness.js';
import { installDatabaseClock } from './database-clock.js';
import { CLOCK_OFFSETS_MS, type Deployment, QUIET } from './deployment.js';

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
