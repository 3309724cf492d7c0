import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Client } from 'pg';

import { findFreePort } from './ports.ts';
import { isAlive } from './processes.ts';
import { makeDataParent, RindProcess, untilGone } from './test/rind-process.ts';

describe('npm start', { timeout: 180_000 }, () => {
  let parent: string;
  let dataDir: string;
  let port: number;
  let started: RindProcess[] = [];

  const start = (env: NodeJS.ProcessEnv = {}): RindProcess => {
    const rind = new RindProcess(dataDir, { PORT: String(port), ...env });
    started.push(rind);
    return rind;
  };
  const startUntilReady = async (): Promise<RindProcess> => {
    const rind = start();
    await rind.untilReady();
    return rind;
  };
  const health = (): Promise<Response> => fetch(`http://localhost:${port}/api/v1/health/ready`);
  const read = (name: string): string => readFileSync(join(dataDir, name), 'utf8');

  before(async () => {
    parent = await makeDataParent();
  });
  beforeEach(async () => {
    dataDir = join(parent, 'data');
    port = await findFreePort('127.0.0.1');
  });
  afterEach(async () => {
    for (const rind of started) {
      if (isAlive(rind.pid)) process.kill(rind.pid, 'SIGTERM');
      await rind.ended;
    }
    started = [];
  });
  after(() => rm(parent, { recursive: true, force: true }));

  test('says where everything is, and Ctrl-C leaves no process', async () => {
    const rind = await startUntilReady();
    const pids = Object.values(rind.processes()).flat();
    assert.equal((await health()).status, 200);
    for (const place of ['/api/v1', '/docs', '/api/v1/health/ready', join(dataDir, 'outbox')]) {
      assert.ok(rind.output.includes(place), `${place} is missing in:\n${rind.output}`);
    }

    rind.pressCtrlC();

    assert.equal(await rind.ended, 0);
    assert.deepEqual(pids.filter(isAlive), []);
    assert.match(rind.output, /Stopping the API[^]*Stopping PostgreSQL[^]*Stopped\./);
    // The API had ended before the server did.
    assert.doesNotMatch(read('postgres.log'), /terminating connection/);
  });

  test('keeps its secrets to their owner, and across restarts', async () => {
    const first = await startUntilReady();
    const names = ['jwt-secret', 'encryption-key'];
    const secrets = names.map(read);
    for (const name of [...names, 'postgres-password', 'database-url']) {
      assert.equal((await stat(join(dataDir, name))).mode & 0o777, 0o600, name);
    }
    first.pressCtrlC();
    await first.ended;

    await startUntilReady();

    assert.equal(new Set(secrets).size, secrets.length);
    for (const secret of secrets) assert.ok(secret.trim().length >= 32);
    assert.deepEqual(names.map(read), secrets);
  });

  test('starts again with its data after kill -9', async () => {
    const killed = await startUntilReady();
    await inDatabase('CREATE TABLE survivor ()');
    const { start: pid, api, server } = killed.processes();

    process.kill(pid, 'SIGKILL');
    assert.notEqual(await killed.ended, 0);
    await startUntilReady();

    await inDatabase('SELECT FROM survivor');
    await inDatabase('DROP TABLE survivor');
    assert.deepEqual([api, server].filter(isAlive), []);
  });

  test('leaves no process when it is killed', async () => {
    const killed = await startUntilReady();
    const { start: pid, api, server, supervisors } = killed.processes();

    process.kill(pid, 'SIGKILL');

    await untilGone([api, server, ...supervisors], 5_000);
  });

  test('stops a database server that nothing supervises any more', async () => {
    const killed = await startUntilReady();
    const { server, supervisors, bootstrap, start: pid, api } = killed.processes();
    const victims = [...supervisors, bootstrap, pid, api];
    // While it runs, it takes the end of one supervisor as a reason to let the other stop the server.
    process.kill(pid, 'SIGSTOP');
    for (const victim of victims) process.kill(victim, 'SIGKILL');
    await untilGone(victims);
    assert.ok(isAlive(server), 'the orphan that the next start has to find');

    const next = await startUntilReady();

    assert.ok(!isAlive(server));
    assert.match(next.output, /an earlier start left behind/);
  });

  test('stops with the bootstrap that started it', async () => {
    const rind = await startUntilReady();
    const { bootstrap, ...others } = rind.processes();

    process.kill(bootstrap, 'SIGKILL');

    await untilGone(Object.values(others).flat());
  });

  test('refuses a second start on the same data in one sentence and leaves the first alone', async () => {
    const first = await startUntilReady();

    const second = start({ PORT: String(await findFreePort('127.0.0.1')) });

    assert.equal(await second.ended, 1);
    assert.match(
      second.errors,
      /^Rind is already running with the data in .* \(process \d+, port \d+\).*\n$/,
    );
    assert.equal((await health()).status, 200);
    assert.ok(Object.values(first.processes()).flat().every(isAlive));
  });

  test('names a busy port before it does anything slow', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    const busy = (other.address() as AddressInfo).port;
    dataDir = join(parent, 'never-used');

    const rind = start({ PORT: String(busy) });

    assert.equal(await rind.ended, 1);
    assert.match(rind.errors, new RegExp(`^Port ${busy} is already in use: .*PORT=.*\\n$`));
    assert.ok(!existsSync(join(dataDir, 'postgres')));
    other.close();
  });

  test('names all that is wrong with the environment, the port too, before it starts anything', async () => {
    dataDir = join(parent, 'never-made');
    const rind = start({ PORT: 'http', LOG_LEVEL: 'no-such-level', SYNC_STRICT: 'yes' });

    assert.equal(await rind.ended, 1);
    for (const name of ['PORT', 'LOG_LEVEL', 'SYNC_STRICT']) {
      assert.match(rind.errors, new RegExp(`^  - ${name}: `, 'm'));
    }
    assert.ok(!existsSync(dataDir));
  });

  test('names what is wrong with the environment before it starts the database', async () => {
    dataDir = join(parent, 'empty');
    const rind = start({ LOG_LEVEL: 'no-such-level', CORS_ORIGINS: 'here' });

    assert.equal(await rind.ended, 1);
    assert.match(
      rind.errors,
      /^The environment is not valid:\n  - LOG_LEVEL: .*\n  - CORS_ORIGINS: .*\n$/,
    );
    assert.ok(!existsSync(join(dataDir, 'postgres')));
  });

  test('says in one paragraph that a database cannot be reached', async () => {
    const rind = start({ DATABASE_URL: 'postgresql://rind:hunter2@127.0.0.1:1/missing' });

    assert.equal(await rind.ended, 1);
    assert.match(
      rind.errors,
      /^The database "missing" on 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED.*DATABASE_URL.*\n$/,
    );
    assert.doesNotMatch(rind.output + rind.errors, /hunter2|^ +at /m);
  });

  test('names no reference where production serves none', async () => {
    const rind = start({
      NODE_ENV: 'production',
      JWT_SECRET: 'f3b1c9d2a7e84650b1c2d3e4f5a6b7c8',
      ENCRYPTION_KEY: '0a1b2c3d4e5f60718293a4b5c6d7e8f9',
      FRONTEND_URL: 'https://app.example.com',
      RESEND_API_KEY: 're_key',
      EMAIL_FROM: 'mail@example.com',
    });
    await rind.untilReady();

    assert.match(rind.output, /Reference +off in production/);
    assert.doesNotMatch(rind.output, /\/docs/);
    assert.equal((await fetch(`http://localhost:${port}/docs`)).status, 404);
  });

  test('shows why the API did not start, and stops the database', async () => {
    const rind = start({ RIND_SPOOL_DIR: '/dev/null/spool' });

    assert.equal(await rind.ended, 1);
    assert.match(rind.output + rind.errors, /dev.null.spool/);
    assert.match(rind.errors, /The API ended while it was starting/);
    assert.ok(!existsSync(join(dataDir, 'postgres', 'postmaster.pid')));
  });

  async function inDatabase(statement: string): Promise<void> {
    const client = new Client({ connectionString: read('database-url').trim() });
    await client.connect();
    await client.query(statement);
    await client.end();
  }
});
