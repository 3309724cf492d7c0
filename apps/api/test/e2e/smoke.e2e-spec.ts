import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Authenticator } from '../support/authenticator.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const SCRIPT = path.join(import.meta.dirname, '../../../../scripts/smoke.ts');

let rind: TestApp;
let proxy: FaultyProxy | undefined;
afterEach(async () => {
  await proxy?.close();
  proxy = undefined;
  await rind.stop();
});

interface Outcome {
  code: number | null;
  /** What it printed of each step that went well: its name. */
  steps: string[];
  errors: string;
}

function spawnSmoke(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([output, errors, [code]]): Outcome => ({
      code: code as number | null,
      steps: Array.from(output.matchAll(/^ok +(.+?) +\d+\.\d\d s$/gm), ([, step]) => step!),
      errors,
    }),
  );
  return { child, ended };
}

const smoke = (args: readonly string[], env?: Record<string, string>): Promise<Outcome> =>
  spawnSmoke(args, env).ended;

/** Waits for hardly more than one answer; for another where the machine stood still for that long. */
async function impatientSmoke(...args: readonly string[]): Promise<Outcome> {
  let outcome: Outcome;
  do outcome = await smoke([...args, '--timeout', '0.1']);
  while (/not within 0.1 s: (?:unavailable: database|it does not answer)$/m.test(outcome.errors));
  return outcome;
}

/** It passes no sockets, and says so at once rather than leaving them to the client's patience. */
async function startProxy(): Promise<FaultyProxy> {
  const started = await FaultyProxy.start(rind.url);
  started.server.on('upgrade', (_request, socket) => socket.destroy());
  return started;
}

const count = async (table: 'users' | 'sessions'): Promise<number> => {
  const { rows } = await rind.sql.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM ${table}`,
  );
  return rows[0]!.count;
};

const ALL_STEPS = [
  'ready',
  'sign up',
  'sign in again',
  'open a socket',
  'pull',
  'push',
  'sync:changed',
  'pull the push',
  'delete the user',
];

describe('The smoke test', () => {
  test('goes through a server with the wanted commit and leaves nobody behind', async () => {
    rind = await TestApp.start({ env: { IMAGE_COMMIT: COMMIT } });
    for (const commit of [COMMIT, COMMIT.slice(0, 12).toUpperCase()]) {
      const outcome = await smoke([rind.url, '--commit', commit]);
      expect(outcome).toEqual({ code: 0, steps: ALL_STEPS, errors: '' });
    }
    expect(await count('users')).toBe(0);
  });

  test('says which commit runs instead, also where the server does not know its own', async () => {
    rind = await TestApp.start({ env: { IMAGE_COMMIT: COMMIT } });
    const other = await impatientSmoke(rind.url, '--commit', 'fedcba9');
    expect(other).toMatchObject({ code: 1, steps: [] });
    expect(other.errors).toMatch(/^FAILED {2}ready .*: it runs commit 0123456, not fedcba9\n$/);

    const second = await TestApp.start({ database: rind.database });
    const unknown = await impatientSmoke(second.url, '--commit', 'fedcba9');
    await second.stop();
    expect(unknown.code).toBe(1);
    expect(unknown.errors).toContain('it does not say which commit it runs');
  });

  test('says why the server did not get ready', async () => {
    rind = await TestApp.start();
    await rind.sql.query(
      `DELETE FROM _prisma_migrations WHERE id = (SELECT min(id) FROM _prisma_migrations)`,
    );
    const unready = await impatientSmoke(rind.url);
    expect(unready).toMatchObject({ code: 1, steps: [] });
    expect(unready.errors).toContain('not within 0.1 s: unavailable: 1 migrations are pending');

    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const hanging = await smoke([url, '--timeout', '0.1']);
    expect(hanging.code).toBe(1);
    expect(hanging.errors).toContain('not within 0.1 s: it does not answer');

    silent.close().closeAllConnections();
    await once(silent, 'close');
    const dead = await smoke([url, '--timeout', '0.1']);
    expect(dead.code).toBe(1);
    expect(dead.errors).toContain('not within 0.1 s: connect ECONNREFUSED');
  });

  test('waits for a server that gets ready later', async () => {
    rind = await TestApp.start();
    proxy = await startProxy();
    const lost = proxy.loseAnswer('/health/ready');
    const { ended } = spawnSmoke([proxy.url]);
    await lost.struck;
    expect((await ended).steps[0]).toBe('ready');
  });

  test('deletes its user when a step fails: beyond a budget, without sockets, interrupted', async () => {
    rind = await TestApp.start({ env: { RATE_LIMIT_SYNC_PER_MINUTE: '1' } });
    const limited = await smoke([rind.url]);
    expect(limited).toMatchObject({
      code: 1,
      steps: ['ready', 'sign up', 'sign in again', 'open a socket', 'pull', 'delete the user'],
    });
    expect(limited.errors).toMatch(/^FAILED {2}push .* 429 rate_limited: /);
    expect(await count('users')).toBe(0);

    proxy = await startProxy();
    const withoutSockets = await smoke([proxy.url]);
    expect(withoutSockets).toMatchObject({
      code: 1,
      steps: ['ready', 'sign up', 'sign in again', 'delete the user'],
    });
    expect(withoutSockets.errors).toMatch(/^FAILED {2}open a socket .*websocket error/);
    expect(await count('users')).toBe(0);

    const held = proxy.holdRequest('/auth/login');
    const { child, ended } = spawnSmoke([proxy.url]);
    await held.struck;
    child.kill('SIGTERM');
    const interrupted = await ended;
    held.release();
    expect(interrupted).toMatchObject({ code: 1, steps: ['ready', 'sign up', 'delete the user'] });
    expect(interrupted.errors).toContain('interrupted by SIGTERM');
    expect(await count('users')).toBe(0);
  });

  test('waits for its turn where a rate limit refuses to delete the user', async () => {
    rind = await TestApp.start({ env: { RATE_LIMIT_AUTH_PER_MINUTE: '10' } });
    proxy = await startProxy();
    const held = proxy.holdRequest('/users/me');
    const { ended } = spawnSmoke([proxy.url]);
    await held.struck;
    const { rowCount } = await rind.sql.query(
      `UPDATE rate_limits SET points = 10, expire = $1 WHERE key LIKE 'auth:%'`,
      [Date.now() + 1000],
    );
    expect(rowCount).toBe(1);
    held.release();

    expect((await ended).steps.at(-1)).toBe('delete the user');
    expect(proxy.requests.filter((request) => request.startsWith('DELETE'))).toHaveLength(2);
    expect(await count('users')).toBe(0);
  });

  test('asks for an account where a throw-away user cannot sign in', async () => {
    rind = await TestApp.start({ env: { EMAIL_VERIFICATION_REQUIRED: 'true' } });
    const unverified = await smoke([rind.url]);
    expect(unverified).toMatchObject({ code: 1, steps: ['ready'] });
    expect(unverified.errors).toMatch(/^FAILED {2}sign up .*SMOKE_EMAIL/);

    const closed = await TestApp.start({
      database: rind.database,
      env: { REGISTRATION_ENABLED: 'false' },
    });
    const refused = await smoke([closed.url]);
    await closed.stop();
    expect(refused).toMatchObject({ code: 1, steps: ['ready'] });
    expect(refused.errors).toMatch(/^FAILED {2}sign up .*register.*SMOKE_EMAIL/);
  });

  test('uses a given account and leaves only what was there before', async () => {
    rind = await TestApp.start();
    const account = await rind.signUp();
    await push(account, ['smoke-left-behind', 'house']);
    const environment = { SMOKE_EMAIL: account.user.email, SMOKE_PASSWORD: account.password };

    const outcome = await smoke([rind.url], environment);
    expect(outcome).toMatchObject({ code: 0, errors: '' });
    expect(outcome.steps).toEqual([
      'ready',
      'sign in',
      ...ALL_STEPS.slice(2, -1),
      'delete records',
      'sign out',
    ]);
    const { rows } = await rind.sql.query('SELECT id FROM projects WHERE NOT is_deleted');
    expect(rows).toEqual([{ id: 'house' }]);
    expect(await count('sessions')).toBe(1);

    const wrong = await smoke([rind.url], { ...environment, SMOKE_PASSWORD: 'wrong password' });
    expect(wrong).toMatchObject({ code: 1, steps: ['ready'] });
    expect(wrong.errors).toContain('401 invalid_credentials');

    await Authenticator.enrol(rind, account);
    const guarded = await smoke([rind.url], environment);
    expect(guarded).toMatchObject({ code: 1, steps: ['ready'] });
    expect(guarded.errors).toContain('second factor');
  });

  test('refuses what it cannot understand before it does anything', async () => {
    rind = await TestApp.start();
    const refused: [args: string[], message: string, env?: Record<string, string>][] = [
      [[], 'Name one URL'],
      [['localhost:3000'], 'Name one URL'],
      [[`${rind.url}/api/v1`], 'Name one URL'],
      [[rind.url, rind.url], 'Name one URL'],
      [[rind.url, '--commit', 'main'], '--commit takes'],
      [[rind.url, '--commit', '012345'], '--commit takes'],
      [[rind.url, '--timeout', '0'], '--timeout takes'],
      [[rind.url, '--timeout', 'soon'], '--timeout takes'],
      [[rind.url, '--comit', COMMIT], "Unknown option '--comit'"],
      [[rind.url], 'Set SMOKE_EMAIL and SMOKE_PASSWORD', { SMOKE_EMAIL: 'ada@example.com' }],
    ];
    await Promise.all(
      refused.map(async ([args, message, env]) => {
        const { code, steps, errors } = await smoke(args, env);
        expect({ args, code, steps }).toEqual({ args, code: 1, steps: [] });
        expect(errors).toContain(message);
      }),
    );
    expect(await count('users')).toBe(0);
  });
});

async function push(account: Account, ids: readonly string[]): Promise<void> {
  const created = ids.map((id) => ({ id, name: id, created_at: 1, updated_at: 1 }));
  const { status } = await rind.request('POST', '/sync/push', {
    token: account.accessToken,
    body: { lastPulledAt: null, changes: { projects: { created, updated: [], deleted: [] } } },
  });
  expect(status).toBe(200);
}
