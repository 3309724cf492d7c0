import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SpoolLimits } from '../../src/platform/spool/spools.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { LogRecorder } from '../support/log-recorder.js';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

const METRICS_TOKEN = 'the-token+of/this.test~01==';

describe('metrics', () => {
  let rind: TestApp;

  beforeAll(async () => {
    rind = await TestApp.start({
      env: { METRICS_TOKEN, LOG_LEVEL: 'fatal', RATE_LIMIT_ANON_PER_MINUTE: '1' },
    });
  });
  afterAll(() => rind.stop());

  const get = (authorization?: string, { url } = rind) =>
    fetch(`${url}/metrics`, { ...(authorization && { headers: { authorization } }) });

  /** All that is counted of sync, by name and labels as they are written. */
  async function read(instance = rind): Promise<Map<string, number>> {
    const text = await (await get(`Bearer ${METRICS_TOKEN}`, instance)).text();
    return new Map(
      Array.from(text.matchAll(/^(rind_sync_\S+) (\d+)$/gm), ([, name, value]) => [
        name!.replace('rind_sync_', ''),
        Number(value),
      ]),
    );
  }

  /** What is counted while the work is done. */
  async function counted(work: () => Promise<unknown>, instance = rind) {
    const before = await read(instance);
    await work();
    const after = [...(await read(instance))];
    return Object.fromEntries(
      after
        .map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
        .filter(([, difference]) => difference > 0),
    );
  }

  describe('are given', () => {
    test('in the format of Prometheus, with those of the process', async () => {
      const response = await get(`Bearer ${METRICS_TOKEN}`);
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        expect.stringMatching(/^text\/plain; version=0\.0\.4/),
      ]);
      expect(await response.text()).toMatch(/^process_cpu_seconds_total \d/m);
    });

    test.each([
      undefined,
      'Bearer',
      'Bearer wrong',
      `Bearer ${METRICS_TOKEN}x`,
      `Bearer ${METRICS_TOKEN.slice(1)}`,
      `Basic ${METRICS_TOKEN}`,
    ])('to nobody else: %j', async (authorization) => {
      const response = await get(authorization);
      expect(await response.json()).toMatchObject({ status: 401, code: 'unauthenticated' });
    });

    test('to no user', async () => {
      const { accessToken } = await rind.signUp();
      expect((await get(`Bearer ${accessToken}`)).status).toBe(401);
    });

    test('by nobody who has no token configured: there is no such route', async () => {
      const without = await TestApp.start({ database: rind.database });
      const responses = await Promise.all([get('Bearer ', without), get(undefined, without)]);
      await without.stop();
      expect(responses.map(({ status }) => status)).toEqual([404, 404]);
    });

    test('without a limit, and without a line in the log but for those who are refused', async () => {
      const log = new LogRecorder();
      for (let n = 0; n < 5; n += 1) {
        expect((await get(`Bearer ${METRICS_TOKEN}`)).status).toBe(200);
      }
      expect(log.lines).toEqual([]);
      await get('Bearer wrong');
      expect(log.find('Request answered')).toMatchObject([{ route: '/metrics', status: 401 }]);
      expect(log.text).not.toContain(METRICS_TOKEN);
    });
  });

  describe('of pulls', () => {
    test('tell kinds and rows', async () => {
      const session = await SyncSession.open(rind);
      expect(await counted(() => session.pull())).toEqual({ 'pulls_total{kind="nothing_new"}': 1 });
      await session.push({ projects: { created: [{ id: 'a', name: 'A' }] } });
      const incremental = await counted(() => session.pull());
      expect(incremental).toEqual({
        'pulls_total{kind="incremental"}': 1,
        'rows_total{direction="pulled"}': 1,
      });
      const first = await counted(() => session.pull('lastPulledAt='));
      expect(first).toMatchObject({ 'pulls_total{kind="first"}': 1 });
      const migration = encodeURIComponent('{"from":1,"tables":["projects"],"columns":[]}');
      const migrated = await counted(() =>
        session.pull(`lastPulledAt=${session.cursor}&migration=${migration}`),
      );
      expect(migrated).toMatchObject({ 'pulls_total{kind="migration"}': 1 });
      await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [
        session.account.id,
      ]);
      const replaced = await counted(() => session.pull(`lastPulledAt=${session.cursor - 1}`));
      expect(replaced).toMatchObject({ 'pulls_total{kind="replacement"}': 1 });
    });

    test('count cursors ahead of the clock (rule 5)', async () => {
      const session = await SyncSession.open(rind);
      const ahead = await counted(() => session.pull(`lastPulledAt=${session.cursor + 1000}`));
      expect(ahead).toEqual({ cursors_ahead_total: 1, 'pulls_total{kind="incremental"}': 1 });
    });

    test('count the rows of large ones, and those that are refused', async () => {
      const session = await SyncSession.open(rind);
      const count = SMALL_PULL_ROWS + 100;
      const created = Array.from({ length: count }, (_, n) => ({
        id: `p${n}`,
        name: 'two\nlines',
      }));
      await session.push({ projects: { created } });
      expect(await counted(() => session.pull('lastPulledAt='))).toEqual({
        'pulls_total{kind="first"}': 1,
        'rows_total{direction="pulled"}': count,
      });
      const limits = rind.app.get(SpoolLimits);
      Object.assign(limits, { bytesPerProcess: 0 });
      const token = session.account.accessToken;
      const refused = await counted(() => rind.request('GET', '/sync/pull', { token }));
      Object.assign(limits, new SpoolLimits());
      expect(refused).toMatchObject({ 'large_pulls_refused_total{reason="spool_full"}': 1 });
      expect(refused).not.toHaveProperty(['pulls_total{kind="first"}']);
    });
  });

  describe('of pushes', () => {
    test('tell outcomes, rows, conflicts and repairs', async () => {
      const session = await SyncSession.open(rind);
      const create = { projects: { created: [{ id: 'a', name: 'A' }], deleted: ['b'] } };
      expect(await counted(() => session.push(create))).toEqual({
        'pushes_total{outcome="applied"}': 1,
        'rows_total{direction="pushed"}': 1,
      });
      // The cursor is the one from before.
      const update = { projects: { updated: [{ id: 'a', name: 'B' }] } };
      expect(await counted(() => session.push(update, null))).toEqual({
        'pushes_total{outcome="sync_conflict"}': 1,
        conflicts_total: 1,
      });
      const imperfect = {
        projects: { created: [{ id: 'c', name: 7, nonsense: 1, rubbish: 2 }] },
        nothing: { created: [{ id: 'd' }] },
      };
      expect(await counted(() => session.push(imperfect))).toEqual({
        'pushes_total{outcome="applied"}': 1,
        'rows_total{direction="pushed"}': 1,
        'repairs_total{code="unknown_column"}': 2,
        'repairs_total{code="unknown_table"}': 1,
        'repairs_total{code="wrong_type"}': 1,
      });
    });

    test('count what strict mode refuses', async () => {
      const strict = await TestApp.start({
        database: rind.database,
        env: { METRICS_TOKEN, SYNC_STRICT: 'true' },
      });
      const session = await SyncSession.open(strict, await rind.signUp());
      const imperfect = { projects: { created: [{ id: 'c', name: 7 }] } };
      const refused = await counted(() => session.push(imperfect), strict);
      await strict.stop();
      expect(refused).toEqual({
        'pushes_total{outcome="sync_content_refused"}': 1,
        'repairs_total{code="wrong_type"}': 1,
      });
    });
  });
});
