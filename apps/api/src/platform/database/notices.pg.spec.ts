import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { LogRecorder } from '../../../test/support/log-recorder.js';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Notices } from './notices.js';

const CHANNEL = 'some "channel"';

/** No connection counts as dead because the machine stood still for a while. */
const PATIENT = {
  proofIntervalMs: 50,
  proofTimeoutMs: 60_000,
  reconnectDelayMs: 10,
  checkTimeoutMs: 60_000,
};
/** What a test can wait for. */
const SOON_MS = 300;

describe('listening for notices', () => {
  let database: TestDatabase;
  let sql: pg.Pool;
  let proxy: TcpProxy;
  let timing: typeof PATIENT;
  let notices: Notices;

  beforeAll(async () => {
    Logger.overrideLogger(false);
    database = await createTestDatabase();
    sql = new pg.Pool({ connectionString: database.url, max: 2 });
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });
  beforeEach(async () => {
    proxy = await TcpProxy.start(database.url);
    timing = { ...PATIENT };
    const config = loadConfig({ DATABASE_URL: database.url, DATABASE_DIRECT_URL: proxy.url });
    notices = new Notices(config, timing);
    notices.listenTo(CHANNEL);
  });
  afterEach(async () => {
    notices.onModuleDestroy();
    await proxy.close();
  });

  /** Resolves when the connection was given up; the next one is no longer given up soon. */
  async function gap(): Promise<void> {
    await once(notices, 'gap');
    Object.assign(timing, PATIENT);
  }

  async function start(): Promise<void> {
    const live = once(notices, 'live');
    notices.onApplicationBootstrap();
    await live;
  }

  const announce = (payload: string) => sql.query('SELECT pg_notify($1, $2)', [CHANNEL, payload]);

  /** Sends a notice and resolves with the first that arrives. */
  async function receive(payload: string): Promise<unknown[]> {
    const received = once(notices, 'notice');
    await announce(payload);
    return received;
  }

  test('is live once it has been proven, and delivers what is announced', async () => {
    expect(notices.isLive).toBe(false);
    await start();
    expect(notices.isLive).toBe(true);
    expect(await receive('first')).toEqual([CHANNEL, 'first']);
    expect(await receive('')).toEqual([CHANNEL, '']);
  });

  test('a notice is delivered on commit, and never after a rollback', async () => {
    await start();
    const client = await sql.connect();
    await client.query('BEGIN');
    await client.query('SELECT pg_notify($1, $2)', [CHANNEL, 'rolled back']);
    await client.query('ROLLBACK');
    client.release();
    expect(await receive('next')).toEqual([CHANNEL, 'next']);
  });

  test('the proofs of other instances are no notices', async () => {
    await start();
    await sql.query(`SELECT pg_notify('rind_proof', 'of another instance')`);
    expect(await receive('only this')).toEqual([CHANNEL, 'only this']);
  });

  test('a connection that ends is a gap at once, and is made again', async () => {
    await start();
    const gap = once(notices, 'gap').then(() => notices.isLive);
    const live = once(notices, 'live');
    await sql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'rind-notices' AND datname = current_database()`,
    );
    expect(await gap).toBe(false);
    await live;
    expect(await receive('after')).toEqual([CHANNEL, 'after']);
  });

  test('a connection that dies without a word is a gap when its proof is overdue', async () => {
    timing.proofTimeoutMs = SOON_MS;
    await start();
    proxy.freeze();
    await announce('lost');
    await gap();
    expect(notices.isLive).toBe(false);
    proxy.pass();
    await once(notices, 'live');
    expect(await receive('after')).toEqual([CHANNEL, 'after']);
  });

  test('whoever asks notices the dead connection, even before the next proof is due', async () => {
    timing.proofIntervalMs = 60_000;
    await start();
    timing.proofTimeoutMs = 0;
    const given = gap();
    expect(notices.isLive).toBe(false);
    await given;
  });

  test('a server that accepts and then says nothing is given up, and tried again', async () => {
    timing.proofTimeoutMs = SOON_MS;
    proxy.freeze();
    notices.onApplicationBootstrap();
    await once(notices, 'gap');
    await gap();
    proxy.pass();
    await once(notices, 'live');
  });

  test('a connection that dies while it begins to listen is given up, and tried again', async () => {
    const connect = jest.spyOn(pg.Client.prototype, 'connect');
    connect.mockImplementationOnce(async function signInThenFreeze(this: pg.Client) {
      await this.connect();
      proxy.freeze();
    });
    timing.proofTimeoutMs = SOON_MS;
    notices.onApplicationBootstrap();
    await gap();
    proxy.pass();
    await once(notices, 'live');
    connect.mockRestore();
  });

  test('a server that vanishes while it is looked at is given up, and tried again', async () => {
    timing.checkTimeoutMs = SOON_MS;
    let looks = 0;
    notices.beforeLive(async (query) => {
      looks += 1;
      if (looks === 1) proxy.freeze();
      await query('SELECT');
    });
    const live = once(notices, 'live');
    notices.onApplicationBootstrap();
    await gap();
    proxy.pass();
    await live;
    expect(looks).toBe(2);
  });

  test('a server that refuses is tried again until it does not', async () => {
    proxy.refuse();
    notices.onApplicationBootstrap();
    for (let attempt = 0; attempt < 3; attempt += 1) await once(proxy, 'connection');
    expect(notices.isLive).toBe(false);
    proxy.pass();
    await once(notices, 'live');
  });

  test.each([
    ['that says why', `RAISE 'half a backup' USING ERRCODE = '55000', HINT = 'finish it'`],
    ['that is missing', 'SELECT no_such_function()'],
  ])('a check %s is told once, as no outage, and made again', async (_, fault) => {
    const log = new LogRecorder();
    let failures = 3;
    notices.beforeLive(async (query) => {
      if (failures === 0) return;
      failures -= 1;
      await query(`DO $$ BEGIN ${fault}; END $$`);
    });
    await start();
    Logger.overrideLogger(false);
    expect(failures).toBe(0);
    const told = log.lines.map(({ level, msg, reason, hint }) => [level, msg, reason, hint]);
    expect(told).toEqual([
      [
        'warn',
        'The database cannot be used as it is: looking again',
        expect.stringMatching(/half a backup|no_such_function/),
        expect.stringMatching(/finish it|No function matches/),
      ],
      ['info', 'The database can be used again', undefined, undefined],
    ]);
  });

  test('an outage within a check is told as one', async () => {
    const log = new LogRecorder();
    let isFirst = true;
    notices.beforeLive(async (query) => {
      if (!isFirst) return;
      isFirst = false;
      await query('SELECT pg_terminate_backend(pg_backend_pid())');
    });
    await start();
    Logger.overrideLogger(false);
    expect(log.lines.map(({ msg }) => msg)).toEqual([
      'The database is away: trying again',
      'The database is back',
    ]);
  });

  test('dead connections are dropped, not collected', async () => {
    timing.proofTimeoutMs = SOON_MS;
    await start();
    proxy.freeze();
    await gap();
    const again = once(proxy, 'connection');
    proxy.pass();
    await again;
    await once(notices, 'live');
    expect(await proxy.openConnections).toBe(1);
  });

  test('stopping waits for nobody, not even on a dead connection', async () => {
    await start();
    proxy.freeze();
    const events: string[] = [];
    notices.on('gap', () => events.push('gap'));
    notices.onModuleDestroy();
    while ((await proxy.openConnections) > 0) await new Promise(setImmediate);
    expect(events).toEqual([]);
    expect(notices.isLive).toBe(false);
  });

  test('a payload of any text arrives unchanged', async () => {
    await start();
    const payload = `${randomUUID()} ' " \\ ü 🧹 ${'x'.repeat(7_000)}`;
    expect(await receive(payload)).toEqual([CHANNEL, payload]);
  });
});
