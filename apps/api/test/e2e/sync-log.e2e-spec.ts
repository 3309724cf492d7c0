import type { PullResult, SyncTable } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { firstTables } from '../support/first-tables.js';
import { type LogLine, LogRecorder } from '../support/log-recorder.js';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

const merging: SyncTable = {
  name: 'counters',
  recordName: 'Counter',
  since: 1,
  conflictPolicy: 'merge',
  clientMay: { create: true, delete: true },
  columns: { label: { type: 'string' }, total: { type: 'number', writer: 'server' } },
};

/** What a developer needs to see why a record is or is not in a pull. */
describe('the line of a request in the log', () => {
  let rind: TestApp;
  let session: SyncSession;
  let log: LogRecorder;

  beforeAll(async () => {
    rind = await TestApp.start({ tables: [...firstTables, merging] });
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    session = await SyncSession.open(rind);
    log = new LogRecorder();
  });

  /** Lines are written when the answer is out, which its reader may notice first. */
  async function lastLine(): Promise<LogLine> {
    await rind.request('GET', '/health/live');
    return log.find('Request answered').findLast(({ route }) => String(route).includes('/sync/'))!;
  }

  async function pulled(query?: string) {
    const { body } = await session.pull(query);
    const { pull } = await lastLine();
    return { body, pull };
  }

  const tasks = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ id: `t${index}`, title: 'Secret plan' }));

  test('says of each kind of pull what it sent', async () => {
    await session.write({ tasks: { created: tasks(2) } });
    const first = session.cursor;
    await session.write({ tasks: { deleted: ['t0'] } });
    const second = session.cursor;
    const line = { timestamp: second, isLarge: false };
    const { pull: nothing } = await pulled();
    expect(nothing).toEqual({
      ...line,
      kind: 'nothing_new',
      lastPulledAt: second,
      updated: 0,
      deleted: 0,
    });
    const { pull: incremental } = await pulled(`lastPulledAt=${first}`);
    expect(incremental).toEqual({
      ...line,
      kind: 'incremental',
      lastPulledAt: first,
      updated: 0,
      deleted: 1,
    });
    const { pull: all } = await pulled('');
    // The task and the greeting.
    expect(all).toEqual({ ...line, kind: 'first', lastPulledAt: 0, updated: 2, deleted: 0 });
    const migration = encodeURIComponent(
      JSON.stringify({ from: 1, tables: ['tasks'], columns: [] }),
    );
    const { pull: grown } = await pulled(`lastPulledAt=${second}&migration=${migration}`);
    expect(grown).toEqual({
      ...line,
      kind: 'migration',
      lastPulledAt: second,
      updated: 1,
      deleted: 0,
    });
    await rind.sql.query('UPDATE sync_clocks SET floor = $2 WHERE user_id = $1', [
      session.account.id,
      second,
    ]);
    const { pull: replaced } = await pulled(`lastPulledAt=${first}`);
    expect(replaced).toEqual({
      ...line,
      kind: 'replacement',
      lastPulledAt: first,
      updated: 2,
      deleted: 0,
    });
    expect(log.text).not.toContain('Secret plan');
  });

  test('counts the rows of a large pull, too', async () => {
    const before = session.cursor;
    await session.write({ tasks: { created: tasks(SMALL_PULL_ROWS + 2) } });
    await session.write({ tasks: { deleted: ['t0'] } });
    const { body, pull } = await pulled(`lastPulledAt=${before}`);
    const { timestamp } = body satisfies PullResult;
    expect(pull).toEqual({
      kind: 'incremental',
      lastPulledAt: before,
      timestamp,
      updated: SMALL_PULL_ROWS + 1,
      deleted: 1,
      isLarge: true,
    });
  });

  test('says of a push what it applied', async () => {
    const before = session.cursor;
    const { body } = await session.push({
      tasks: { created: [...tasks(2), { id: 'long', title: 'x'.repeat(501) }] },
    });
    expect(await lastLine()).toMatchObject({
      status: 200,
      push: {
        lastPulledAt: before,
        timestamp: body.timestamp,
        written: 2,
        deleted: 0,
        reverted: 0,
        rejected: 1,
        isRepeat: false,
      },
    });
    await session.pull();
    const { cursor } = session;
    await session.push({ tasks: { deleted: ['t0'] } });
    expect(await lastLine()).toMatchObject({ push: { written: 0, deleted: 1 } });
    // Deleted before the cursor: it gets a new version, and nothing else.
    await session.pull();
    await session.push({ tasks: { updated: [{ id: 't0', title: 'Late' }] } });
    expect(await lastLine()).toMatchObject({ push: { written: 0, deleted: 0, reverted: 1 } });
    expect(session.cursor).toBeGreaterThan(cursor);
  });

  test('says that a push was refused, and why', async () => {
    await session.write({ tasks: { created: tasks(1) } });
    await session.push({ tasks: { updated: tasks(1) } }, 1);
    expect(await lastLine()).toMatchObject({
      status: 409,
      problem: 'sync_conflict',
      push: { lastPulledAt: 1 },
    });
  });

  test('says that a push was a repeat', async () => {
    const changes = { counters: { created: [{ id: 'c', label: 'Steps' }] } };
    await session.push(changes);
    await session.push(changes);
    expect(await lastLine()).toMatchObject({ push: { written: 0, isRepeat: true } });
  });
});
