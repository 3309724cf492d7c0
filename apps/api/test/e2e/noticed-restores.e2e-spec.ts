import { once } from 'node:events';
import type { PullResult } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { markRestored } from '../../../../prisma/restored/mark-restored.ts';
import { Database } from '../../src/platform/database/database.js';
import { Notices, NoticesTiming } from '../../src/platform/database/notices.js';
import { SyncService } from '../../src/sync/sync.service.js';
import { LogRecorder } from '../support/log-recorder.js';
import { untilLive } from '../support/notices.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { untilBlocked } from '../support/seams.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const METRICS_TOKEN = 'the-token+of/this.test~01==';
const NOTICED =
  'The database was restored from a backup, or is another one: all clocks were moved above what devices may have';

let database: TestDatabase;
/** Between the second instance and what it listens on. */
let proxy: TcpProxy;
let rind: TestApp;
let other: TestApp;
let ada: Account;
let log: LogRecorder;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await TcpProxy.start(database.url);
  rind = await TestApp.start({ env: { METRICS_TOKEN }, database });
  other = await TestApp.start({
    env: { METRICS_TOKEN, DATABASE_DIRECT_URL: proxy.url },
    database,
  });
  ada = await rind.signUp();
  for (const instance of [rind, other]) {
    // Fast enough to wait for; slow enough for a busy machine not to seem dead.
    const timing = { proofIntervalMs: 50, reconnectDelayMs: 10 };
    Object.assign(instance.app.get(NoticesTiming), timing);
    await untilLive(instance);
  }
  // The connections of the start still have the times of the start.
  const anew = [rind, other].map(reconnected);
  await terminateListeners();
  await Promise.all(anew);
});
beforeEach(async () => {
  log = new LogRecorder();
  for (const instance of [rind, other]) await untilLive(instance);
});
afterAll(async () => {
  await other.stop();
  await rind.stop();
  await proxy.close();
  await database.drop();
});

const pull = (instance = rind, cursor = 0) =>
  instance.request<PullResult & { code: string }>('GET', `/sync/pull?lastPulledAt=${cursor}`, {
    token: ada.accessToken,
  });

async function intervals(): Promise<number> {
  return (await rind.sql.query('SELECT FROM sync_lost_intervals')).rowCount!;
}

async function counted(instance: TestApp): Promise<number> {
  const response = await fetch(`${instance.url}/metrics`, {
    headers: { authorization: `Bearer ${METRICS_TOKEN}` },
  });
  const [, value] = /^rind_restores_noticed_total (\d+)$/m.exec(await response.text())!;
  return Number(value);
}

async function terminateListeners(): Promise<void> {
  await rind.sql.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'rind-notices'`,
  );
}

/** Resolves when an instance has a new listening connection. */
function reconnected({ app }: TestApp): Promise<unknown> {
  const notices = app.get(Notices);
  return once(notices, 'gap').then(() => once(notices, 'live'));
}

describe('a database', () => {
  test('that its marker describes is synced, and its clocks stay', async () => {
    const [first, second] = [await pull(), await pull(other)];
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body.timestamp).toBe(first.body.timestamp);
    expect(await intervals()).toBe(0);
    expect(await counted(rind)).toBe(0);
  });
});

describe('a database that is not what its marker says', () => {
  test('is noticed once by all instances, on connections that live, and told', async () => {
    const before = await pull();
    const noticed = Promise.any([reconnected(rind), reconnected(other)]);
    await rind.sql.query(`UPDATE sync_marker SET clocks_file = ''`);
    await noticed;
    expect(await intervals()).toBe(1);
    expect((await counted(rind)) + (await counted(other))).toBe(1);
    expect(log.find(NOTICED)).toEqual([
      expect.objectContaining({ level: 'warn', differences: ['clocks_file'], clocks: 1 }),
    ]);
    for (const instance of [rind, other]) {
      await untilLive(instance);
      const { status, body } = await pull(instance, before.body.timestamp);
      expect([status, body.changes['notifications']]).toEqual([
        200,
        { created: [], updated: [], deleted: [] },
      ]);
      expect(body.timestamp).toBeGreaterThan(before.body.timestamp);
      expect(body.timeline).not.toBe(before.body.timeline);
    }
  });

  test('makes devices that are connected pull', async () => {
    const client = await RealtimeClient.connect(rind.url, ada.accessToken);
    const before = await pull();
    await rind.sql.query('UPDATE sync_marker SET wal_timeline = wal_timeline + 1');
    const [news] = await client.receive('sync:changed');
    expect(news!.timestamp).toBeGreaterThan(before.body.timestamp);
    client.close();
  });

  test('ends what was known of sessions that it does not have', async () => {
    const ben = await rind.signUp();
    const get = () => rind.request('GET', '/users/me', { token: ben.accessToken });
    expect((await get()).status).toBe(200);
    const noticed = reconnected(rind);
    // Nobody is told, as where the tables were made anew.
    await rind.sql.query(
      `ALTER TABLE sessions DISABLE TRIGGER announce_session_end;
       DELETE FROM sessions WHERE user_id = '${ben.id}';
       UPDATE sync_marker SET clocks_file = '';
       ALTER TABLE sessions ENABLE TRIGGER announce_session_end`,
    );
    await noticed;
    expect((await get()).status).toBe(401);
  });

  test('is not synced while a backup is being put back', async () => {
    const lost = once(rind.app.get(Notices), 'gap');
    await rind.sql.query('DELETE FROM sync_marker');
    await lost;
    for (const answer of [
      await pull(),
      await rind.request('POST', '/sync/push', {
        token: ada.accessToken,
        body: { changes: {}, lastPulledAt: 0 },
      }),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([503, 'service_unavailable']);
      expect(answer.headers.get('retry-after')).toBe('5');
    }
    await markRestored(database.url);
    await untilLive(rind);
    expect((await pull()).status).toBe(200);
  });

  test('is not synced before it was looked at, which pulls wait for', async () => {
    const lost = once(other.app.get(Notices), 'gap');
    proxy.refuse();
    await terminateListeners();
    await lost;
    expect((await pull(other)).status).toBe(503);
    // All that needs no cursor goes on.
    const { status } = await other.request('GET', '/users/me', { token: ada.accessToken });
    expect(status).toBe(200);
    const waiting = pull(other);
    proxy.pass();
    expect((await waiting).status).toBe(200);
  });

  test('takes no push between the restore and the look', async () => {
    const { body } = await pull();
    const push = () =>
      rind.request('POST', '/sync/push', {
        token: ada.accessToken,
        body: { changes: {}, lastPulledAt: body.timestamp },
      });
    const holder = await rind.sql.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [ada.id]);
    const waiting = push();
    await untilBlocked(rind.sql, waiting);
    const looked = reconnected(rind);
    await holder.query(`UPDATE sync_marker SET clocks_file = ''`);
    await holder.query('COMMIT');
    holder.release();
    const { status, body: problem, headers } = await waiting;
    expect([status, problem.code]).toEqual([503, 'service_unavailable']);
    expect(headers.get('retry-after')).toBe('5');
    await looked;
    // Its cursor is from before the restore, as far as the server knows.
    expect((await push()).status).toBe(200);
  });

  test('takes nothing from the server itself either, which then looks, and goes on looking', async () => {
    const write = () =>
      rind.app.get(SyncService).write(ada.id, { notifications: { deleted: ['none'] } });
    const looked = reconnected(rind);
    // Nobody else sees it.
    const database = rind.app.get(Database);
    const restored = database.transaction(async () => {
      await database.prisma.$executeRaw`UPDATE sync_marker SET clocks_file = ''`;
      await write();
    });
    await expect(restored).rejects.toMatchObject({ code: 'service_unavailable' });
    await looked;
    expect(await write()).toEqual(expect.any(Number));

    const lookedAgain = reconnected(rind);
    await rind.sql.query(`UPDATE sync_marker SET clocks_file = ''`);
    await lookedAgain;
  });
});
