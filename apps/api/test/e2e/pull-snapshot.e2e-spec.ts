import type { PullResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Database } from '../../src/platform/database/database.js';
import { type Account, TestApp } from '../support/test-app.js';

/**
 * Hazard H4: a pull is one snapshot. A push commits before each statement of a pull, at another
 * instance, so that a pull of several snapshots is torn every time. Each push makes a project and a task
 * of the same id: half of one in an answer is a torn answer.
 */
describe('pulls beside pushes (hazard H4, rules 4 and 7)', () => {
  let rind: TestApp;
  let other: TestApp;
  let database: Database;
  let run: Database['run'];
  let pushes = 0;

  beforeAll(async () => {
    rind = await TestApp.start();
    other = await TestApp.start({ database: rind.database });
    database = rind.app.get(Database);
    run = database.run.bind(database);
  });
  afterEach(() => {
    database.run = run;
  });
  afterAll(async () => {
    await other.stop();
    await rind.stop();
  });

  async function push({ accessToken: token }: Account): Promise<string> {
    pushes += 1;
    const id = `pair-${pushes}`;
    const { status } = await other.request('POST', '/sync/push', {
      token,
      body: {
        changes: {
          projects: { created: [{ id, name: id, created_at: 1, updated_at: 1 }] },
          tasks: { created: [{ id, title: id, created_at: 1, updated_at: 1 }] },
        },
        lastPulledAt: null,
      },
    });
    expect(status).toBe(200);
    return id;
  }

  async function pull({ accessToken: token }: Account, query: string) {
    const { status, body } = await rind.request<PullResult>('GET', `/sync/pull?${query}`, {
      token,
    });
    expect(status).toBe(200);
    const ids = (table: string) =>
      (body.changes[table]!.updated as Array<{ id: string }>).map(({ id }) => id).toSorted();
    expect(ids('tasks')).toEqual(ids('projects'));
    return { ids: ids('projects'), timestamp: body.timestamp };
  }

  /** From now on a push commits before each statement; its ids. */
  function pushBeforeStatements(account: Account): string[] {
    const ids: string[] = [];
    database.run = async (statement, values) => {
      ids.push(await push(account));
      return run(statement, values);
    };
    return ids;
  }

  const migration = encodeURIComponent(
    JSON.stringify({ from: 1, tables: ['tasks', 'projects'], columns: [] }),
  );

  test('a pull that nothing disturbs has all there is', async () => {
    const account = await rind.signUp();
    const id = await push(account);
    expect((await pull(account, '')).ids).toEqual([id]);
  });

  test.each([
    ['a first pull', () => ''],
    ['an incremental pull', (cursor: number) => `lastPulledAt=${cursor}`],
    ['a migration', (cursor: number) => `lastPulledAt=${cursor}&migration=${migration}`],
  ])(
    'pushes commit before each statement of %s: half of none, each once',
    async (kind, queryOf) => {
      const account = await rind.signUp();
      const old = await push(account);
      const { timestamp: cursor } = await pull(account, '');
      const between = pushBeforeStatements(account);
      const disturbed = await pull(account, queryOf(cursor));
      database.run = run;
      expect(between.length).toBeGreaterThan(0);
      const rest = await pull(account, `lastPulledAt=${disturbed.timestamp}`);
      const all = kind === 'an incremental pull' ? between : [old, ...between];
      expect([...disturbed.ids, ...rest.ids].toSorted()).toEqual(all.toSorted());
    },
  );
});
