import { writeFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { deployMigrations } from '../prisma/migrate/deploy.ts';
import { MigrateError } from '../prisma/migrate/errors.ts';
import { buildApi } from './build.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { describeError, ExpectedError } from './expected-error.ts';
import { whyUnavailable } from './ports.ts';
import { checkEnvironment } from './start/environment.ts';
import { clearOrphanApi, type RunningApi, startApi, waitUntilReady } from './start/api.ts';
import {
  developmentSecret,
  lockDataDirectory,
  prepareDataDirectory,
  readRunState,
  removeRunState,
  writeRunState,
} from './start/data-directory.ts';
import { readSettings, ROOT, type Settings } from './start/settings.ts';
import { listenForStop, type StopRequest } from './start/stop-request.ts';

/** What is running, in the order in which it was started. */
interface Running {
  database?: EmbeddedPostgres;
  api?: RunningApi;
}

const say = (message: string): void => console.log(message);
const detail = (message: string): void => console.log(`  ${message}`);

async function main(): Promise<void> {
  // A terminal that was closed must not keep the rest from stopping.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  loadEnvironmentFile();
  const chosen = await chooseSettings();
  const settings = { ...chosen, dataDir: await prepareDataDirectory(chosen.dataDir) };
  const running: Running = {};
  const stop = listenForStop(() => {
    running.api?.kill();
    process.exit(130);
  });

  await lockDataDirectory(settings.dataDir, say);
  try {
    await clearOrphanApi((await readRunState(settings.dataDir))?.apiPid, say);
    await writeRunState(settings.dataDir, { pid: process.pid, port: settings.port });
    await assertPortIsFree(settings.port);
    const { docsEnabled } = await startEverything(settings, running, stop.signal);
    announce(settings, running, docsEnabled);
    await untilSomethingEnds(running, stop);
  } catch (error) {
    // Whatever was interrupted by the request to stop failed because of it.
    if (!stop.signal.aborted) throw error;
  } finally {
    await stopEverything(settings, running);
  }
}

/** What is wrong with the port is told together with all else that is wrong. */
async function chooseSettings(): Promise<Settings> {
  try {
    return readSettings(process.env);
  } catch (error) {
    await buildApi();
    await checkEnvironment(process.env);
    throw error;
  }
}

function loadEnvironmentFile(): void {
  const file = join(ROOT, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
}

/** Asked before the slow work, although somebody may still take the port before the API does. */
async function assertPortIsFree(port: number): Promise<void> {
  const code = await whyUnavailable(port);
  if (code === undefined) return;
  const reason = code === 'EADDRINUSE' ? 'is already in use' : `cannot be used (${code})`;
  throw new ExpectedError(
    `Port ${port} ${reason}: stop what uses it, or choose another one with PORT=${port + 1}.`,
  );
}

async function startEverything(
  settings: Settings,
  running: Running,
  signal: AbortSignal,
): Promise<{ docsEnabled: boolean }> {
  await step('Building', signal, () => buildApi(signal));
  const { docsEnabled } = await checkEnvironment(process.env);

  if (settings.databaseUrl === undefined) {
    running.database = await step('Starting PostgreSQL', signal, () =>
      startEmbeddedPostgres({
        dataDir: settings.dataDir,
        relocatable: !settings.dataDirIsChosen,
        onProgress: detail,
      }),
    );
    await writeFile(databaseUrlFile(settings), `${running.database.url}\n`, { mode: 0o600 });
  }
  const databaseUrl = running.database?.url ?? settings.databaseUrl ?? '';
  await step('Migrating the database', signal, () => migrate(databaseUrl));

  await step('Starting the API', signal, async () => {
    const api = await startApi(await apiEnvironment(settings, databaseUrl));
    running.api = api;
    await writeRunState(settings.dataDir, {
      pid: process.pid,
      port: settings.port,
      apiPid: api.pid,
    });
    await waitUntilReady(`http://localhost:${settings.port}/api/v1/health/ready`, api, signal);
  });
  return { docsEnabled };
}

async function step<T>(title: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const startedMs = performance.now();
  say(`${title} …`);
  const result = await work();
  detail(`done in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return result;
}

async function migrate(databaseUrl: string): Promise<void> {
  try {
    const { applied } = await deployMigrations({ databaseUrl, onProgress: detail });
    if (applied.length === 0) detail('nothing to apply');
  } catch (error) {
    throw error instanceof MigrateError
      ? new ExpectedError(error.message, { cause: error })
      : error;
  }
}

async function apiEnvironment(settings: Settings, databaseUrl: string): Promise<NodeJS.ProcessEnv> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DATABASE_URL: databaseUrl,
    PORT: String(settings.port),
    RIND_DATA_DIR: settings.dataDir,
    // It has been done, and told step by step.
    MIGRATE: 'off',
  };
  // Production must bring its own, and the API says so.
  if (env['NODE_ENV'] === 'production') return env;
  // So that app developers see their mistakes, which production would repair.
  env['SYNC_STRICT'] ||= 'true';
  env['JWT_SECRET'] ||= await developmentSecret(settings.dataDir, 'jwt-secret');
  env['ENCRYPTION_KEY'] ||= await developmentSecret(settings.dataDir, 'encryption-key');
  return env;
}

/** For the database's own tools, as long as it runs. */
function databaseUrlFile(settings: Settings): string {
  return join(settings.dataDir, 'database-url');
}

function announce(settings: Settings, running: Running, docsEnabled: boolean): void {
  const origin = `http://localhost:${settings.port}`;
  const mails = process.env['RESEND_API_KEY']
    ? 'sent by Resend'
    : `written to ${join(settings.dataDir, 'outbox')} (RESEND_API_KEY is not set)`;
  const reference = docsEnabled ? `${origin}/docs` : 'off in production (DOCS_ENABLED)';
  const database = running.database
    ? `embedded in ${running.database.directory}, its URL is in ${databaseUrlFile(settings)}`
    : 'that of DATABASE_URL';
  say(`
Rind is running.

  API        ${origin}/api/v1
  Reference  ${reference} (OpenAPI: ${origin}/api/v1/openapi.json)
  Health     ${origin}/api/v1/health/ready
  Mails      ${mails}
  Database   ${database}

Press Ctrl-C to stop.
`);
}

async function untilSomethingEnds({ api, database }: Running, stop: StopRequest): Promise<void> {
  const accident = (what: string) => (how?: string | void) => {
    if (stop.signal.aborted) return;
    throw new ExpectedError(`${what} ended unexpectedly${how ? ` (${how})` : ''}.`);
  };
  await Promise.race(
    [
      stop.requested,
      api?.ended.then(accident('The API')),
      database?.ended.then(accident('The database')),
    ].filter((end) => end !== undefined),
  );
}

async function stopEverything(settings: Settings, { api, database }: Running): Promise<void> {
  await writeRunState(settings.dataDir, { pid: process.pid, port: settings.port, stopping: true });
  if (api) {
    say('Stopping the API …');
    await api.stop();
  }
  if (database) {
    say('Stopping PostgreSQL …');
    await database.stop();
    await rm(databaseUrlFile(settings), { force: true });
  }
  await removeRunState(settings.dataDir);
  if (api) say('Stopped.');
}

try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(describeError(error));
  process.exit(1);
}
