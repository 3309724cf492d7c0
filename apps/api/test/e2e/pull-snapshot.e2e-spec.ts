import { Readable } from 'node:stream';
import type { PullResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Database, type Snapshot } from '../../src/platform/database/database.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
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
  let snapshot: Database['snapshot'];
  let pushes = 0;

  beforeAll(async () => {
    rind = await TestApp.start();
    other = await TestApp.start({ database: rind.database });
    database = rind.app.get(Database);
    run = database.run.bind(database);
    snapshot = database.snapshot.bind(database);
  });
  afterEach(() => {
    Object.assign(database, { run, snapshot });
  });
  afterAll(async () => {
    await other.stop();
    await rind.stop();
  });

  async function push(account: Account): Promise<string> {
    const [id] = await pushPairs(account, 1);
    return id!;
  }

  async function pushPairs({ accessToken: token }: Account, count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => `pair-${(pushes += 1)}`);
    const { status } = await other.request('POST', '/sync/push', {
      token,
      body: {
        changes: {
          projects: { created: ids.map((id) => ({ id, name: id, created_at: 1, updated_at: 1 })) },
          tasks: { created: ids.map((id) => ({ id, title: id, created_at: 1, updated_at: 1 })) },
        },
        lastPulledAt: null,
      },
    });
    expect(status).toBe(200);
    return ids;
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

  /**
   * The same within large pulls, which copy table by table: the push before the second copy commits when
   * the first table has been read, and the second has not.
   */
  function pushBeforeCopies(account: Account): string[] {
    const ids: string[] = [];
    const disturb = async () => void ids.push(await push(account));
    database.snapshot = (work) =>
      snapshot((original) => {
        const disturbed: Snapshot = {
          run: async (statement, values) => {
            await disturb();
            return original.run(statement, values);
          },
          copy: (text, signal) =>
            Readable.from(
              (async function* () {
                await disturb();
                yield* original.copy(text, signal);
              })(),
            ),
        };
        return work(disturbed);
      });
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

  test.each([
    ['a first pull', () => ''],
    ['an incremental pull', (cursor: number) => `lastPulledAt=${cursor}`],
  ])(
    'pushes commit before each copy of a large pull: half of none, each once (%s)',
    async (_kind, queryOf) => {
      const account = await rind.signUp();
      const { timestamp: cursor } = await pull(account, '');
      const old = await pushPairs(account, SMALL_PULL_ROWS);
      const between = pushBeforeCopies(account);
      const disturbed = await pull(account, queryOf(cursor));
      database.snapshot = snapshot;
      // The clock and each of the two tables at least.
      expect(between.length).toBeGreaterThanOrEqual(3);
      const rest = await pull(account, `lastPulledAt=${disturbed.timestamp}`);
      expect([...disturbed.ids, ...rest.ids].toSorted()).toEqual([...old, ...between].toSorted());
    },
  );
});
