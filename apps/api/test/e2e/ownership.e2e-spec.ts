import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import { Database } from '../../src/platform/database/database.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { SyncService } from '../../src/sync/sync.service.js';
import { TombstonesService } from '../../src/sync/tombstones.service.js';
import { folders, messages, orders, pictures } from '../support/example-tables.js';
import { firstTables } from '../support/first-tables.js';
import {
  type ExecutedPlan,
  ExplainingServer,
  nodesOf,
  onPlan,
  type PlanCacheMode,
  type PlanNode,
} from '../support/executed-plans.js';
import { type Account, TestApp } from '../support/test-app.js';

const tables = [...firstTables, folders, pictures, messages, orders];
const names = tables.map(({ name }) => name);

/** Enough for PostgreSQL to find an index worth its while. */
const FOREIGN_ROWS = 20;
const FOREIGN_USERS = 300;

type Records = Record<string, Array<{ id: string }>>;

const notification = (id: string) => ({
  id,
  type: 'welcome',
  title: id,
  body: id,
  data: '{}',
  read_at: null,
  created_at: 1,
});

/** A record of each table. The others of its kind are its parents, so that nothing is left out. */
const recordsOf = (id: string, parent: string): Records => ({
  projects: [{ id, name: id, created_at: 1, updated_at: 1 } as { id: string }],
  tasks: [{ id, title: id, project_id: parent, created_at: 1, updated_at: 1 } as { id: string }],
  notifications: [notification(id)],
  folders: [{ id, name: id, parent_id: parent, cover_id: parent } as { id: string }],
  pictures: [{ id, folder_id: parent } as { id: string }],
  messages: [{ id, title: id, data: '{}', read_at: null, pinned: false } as { id: string }],
  orders: [{ id, kind: 'k', note: id, amount: 1, total: 0 } as { id: string }],
});

/**
 * Hazard H11: another user's id is as unknown as one that nobody has. What a stranger does with either
 * is compared: the answers, the statements, and the rows that each of them touches. So there is nothing
 * to be learned from an error, a warning or the time that something takes.
 */
describe.each<[PlanCacheMode, string]>([
  ['force_generic_plan', 'false'],
  ['force_custom_plan', 'false'],
  ['force_custom_plan', 'true'],
])('another user’s ids (%s, SYNC_STRICT=%s)', (mode, strict) => {
  let server: ExplainingServer;
  let rind: TestApp;
  let victim: Account;
  let plans: ExecutedPlan[] = [];

  beforeAll(async () => {
    server = await ExplainingServer.start();
    const database = await server.createDatabase(mode);
    rind = await TestApp.start({
      database,
      tables,
      env: { SYNC_STRICT: strict, DATABASE_POOL_SIZE: '2' },
    });
    for (const pool of ['pool', 'snapshotPool']) {
      onPlan(Reflect.get(rind.app.get(Database), pool) as Pool, (plan) => plans.push(plan));
    }
    victim = await rind.signUp();
    await fill(victim, 'theirs');
    await multiply(victim);
    await rind.sql.query('ANALYZE');
  }, 60_000);
  afterAll(async () => {
    await rind?.stop();
    await server?.stop();
  });

  /** Live rows, `<prefix>-gone`, which is deleted, and many more. */
  async function fill({ id: userId }: Account, prefix: string): Promise<void> {
    const sync = rind.app.get(SyncService);
    const bulk = Array.from({ length: FOREIGN_ROWS }, (_, index) =>
      recordsOf(`${prefix}-${index}`, `${prefix}-${index + 1}`),
    );
    const all = [recordsOf(`${prefix}-gone`, ''), ...bulk];
    await sync.write(
      userId,
      Object.fromEntries(
        names.map((name) => [name, { created: all.flatMap((records) => records[name]!) }]),
      ),
    );
    await sync.write(
      userId,
      Object.fromEntries(names.map((name) => [name, { deleted: [`${prefix}-gone`] }])),
    );
  }

  /** Gives many other users the same rows. */
  async function multiply({ id }: Account): Promise<void> {
    await rind.sql.query(
      `INSERT INTO users (id, email, display_name, updated_at)
       SELECT gen_random_uuid(), 'foreign-' || n || '@example.com', 'Foreign', now()
       FROM generate_series(1, ${FOREIGN_USERS}) n`,
    );
    await rind.sql.query(
      `INSERT INTO sync_clocks (user_id, version, timeline)
       SELECT u.id, c.version, gen_random_uuid() FROM users u, sync_clocks c
       WHERE u.email LIKE 'foreign-%' AND c.user_id = $1`,
      [id],
    );
    for (const { name, columns } of tables) {
      const list = ['id', ...Object.keys(columns), 'version', 'is_deleted'].map((c) => `t."${c}"`);
      await rind.sql.query(
        `INSERT INTO ${name} (user_id, ${list.join(', ').replaceAll('t.', '')})
         SELECT u.id, ${list.join(', ')} FROM users u, ${name} t
         WHERE u.email LIKE 'foreign-%' AND t.user_id = $1`,
        [id],
      );
    }
  }

  /** Deletes records in a time that is purged now. */
  async function forgetLongAgo({ id: userId }: Account, id: string): Promise<void> {
    for (const name of names) {
      await rind.sql.query(
        `UPDATE ${name} SET is_deleted = true, version = 1 WHERE user_id = $1 AND id = $2`,
        [userId, id],
      );
    }
  }

  /** All that lies in the database of a user. */
  async function stateOf({ id }: Account): Promise<unknown> {
    const state: Record<string, unknown> = {};
    for (const name of [...names, 'sync_clocks', 'sync_answers']) {
      const { rows } = await rind.sql.query(
        `SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) AS digest FROM ${name} t WHERE user_id = $1`,
        [id],
      );
      state[name] = rows[0].digest;
    }
    return state;
  }

  /** What a stranger was answered, and what the statements touched. */
  interface Transcript {
    answers: string[];
    touched: string[];
  }

  /** Everything that a client can do with ids of its choice, each by a new account. */
  async function attack(prefix: string): Promise<Transcript> {
    const answers: string[] = [];
    const touched: string[] = [];
    const ids = [`${prefix}-1`, `${prefix}-gone`];
    const listsOf = (list: string, extra: object = {}) =>
      Object.fromEntries(
        names.map((name) => [
          name,
          {
            [list]: ids.map((id) =>
              list === 'deleted' ? id : { ...recordsOf(id, `${prefix}-2`)[name]![0], ...extra },
            ),
          },
        ]),
      );
    // Of parents that live, and that were deleted.
    const childrenOfThose = Object.fromEntries(
      ['tasks', 'folders', 'pictures'].map((name) => [
        name,
        { created: ids.map((id, index) => recordsOf(`own-${index}`, id)[name]![0]!) },
      ]),
    );
    const neutral = (account: Account, text: string) =>
      text
        .replaceAll(account.id, 'account')
        .replaceAll(`${prefix}-`, 'id-')
        // What each new account is greeted with.
        .replaceAll(/"id":"[\da-f]{8}-[\da-f-]{27}"/g, '"id":"uuid"')
        .replaceAll(
          /"(timestamp|created_at|timeline|requestId|retryAfter)":("[^"]*"|\d+)/g,
          '"$1":0',
        );
    const attacks: Array<(call: Call) => Promise<unknown>> = [
      (call) => call.push(listsOf('created')),
      (call) => call.push(listsOf('created'), null),
      (call) => call.push(listsOf('updated')),
      (call) => call.push(listsOf('updated', { _changed: 'note,pinned,title,name' })),
      (call) => call.push(listsOf('deleted')),
      async (call) => {
        const all = names.map((name) => [
          name,
          {
            created: ids.map((id) => recordsOf(id, id)[name]![0]),
            updated: ids.map((id) => recordsOf(id, id)[name]![0]),
            deleted: ids,
          },
        ]);
        await call.push(Object.fromEntries(all));
      },
      (call) => call.push(childrenOfThose),
      // The server's own writes, too.
      (call) => call.write(listsOf('created')),
      (call) => call.write(listsOf('updated')),
      (call) => call.write(listsOf('deleted')),
      (call) => call.write(childrenOfThose),
    ];
    for (const play of attacks) {
      const account = await rind.signUp();
      let { timestamp } = (await pull(account, '')).body as { timestamp: number };
      plans = [];
      const note = (answer: unknown) => answers.push(neutral(account, JSON.stringify(answer)));
      const call: Call = {
        push: async (changes, lastPulledAt = timestamp) => {
          const { status, body } = await rind.request<{ timestamp?: number }>(
            'POST',
            '/sync/push',
            { token: account.accessToken, body: { changes, lastPulledAt } },
          );
          note([status, body]);
          timestamp = body.timestamp ?? timestamp;
        },
        write: async (changes) => {
          const version = await rind.app.get(SyncService).write(account.id, changes);
          note(version !== null);
        },
      };
      await play(call);
      // What was stored of it goes away again, with its descendants.
      await call.push(listsOf('deleted'));
      for (const query of ['', `lastPulledAt=${timestamp}`, `lastPulledAt=1`, migrationOf()]) {
        note((await pull(account, query)).body);
      }
      // Who the caller is may be asked for again at any time, and so may whose database this is.
      const ofSync = plans.filter(({ 'Query Text': text }) =>
        /\bsync_(?!marker)|_deleted/.test(text),
      );
      touched.push(...ofSync.map((plan) => neutral(account, describeTouched(plan))));
    }
    return { answers, touched };
  }

  interface Call {
    push(changes: object, lastPulledAt?: number | null): Promise<void>;
    write(changes: Parameters<SyncService['write']>[1]): Promise<void>;
  }

  const migrationOf = () =>
    `lastPulledAt=1&migration=${encodeURIComponent(JSON.stringify({ from: 1, tables: names, columns: [] }))}`;

  const pull = (account: Account, query: string) =>
    rind.request<unknown>('GET', `/sync/pull?${query}`, { token: account.accessToken });

  /** The statement, and how many rows it read and gave at each table. */
  function describeTouched({ 'Query Text': text, Plan: plan }: ExecutedPlan): string {
    const rows = new Map<string, number>();
    for (const node of nodesOf(plan)) {
      const name = node['Relation Name'];
      if (name === undefined || !names.includes(name)) continue;
      rows.set(name, (rows.get(name) ?? 0) + readBy(node));
    }
    return `${text}\n${JSON.stringify([...rows])}`;
  }

  const readBy = (node: PlanNode) =>
    node['Actual Loops'] *
    (node['Actual Rows'] +
      (node['Rows Removed by Filter'] ?? 0) +
      (node['Rows Removed by Index Recheck'] ?? 0));

  /** Reads of a synced table that do not go straight to the rows of one user. */
  function findBroadReads(executed: readonly ExecutedPlan[]): string[] {
    const isOwn = (node: PlanNode) => /\buser_id = /.test(node['Index Cond'] ?? '');
    // The purge asks for users who have anything to be purged, of all users.
    const ofUsers = executed.filter(
      ({ 'Query Text': text }) => !text.startsWith('SELECT c.user_id'),
    );
    return ofUsers.flatMap(({ 'Query Text': text, Plan: plan }) =>
      nodesOf(plan)
        .filter(
          (node) =>
            names.includes(node['Relation Name'] ?? '') && node['Node Type'] !== 'ModifyTable',
        )
        .filter((node) => !isOwn(node) && !(node.Plans ?? []).some(isOwn))
        .map((node) => `${node['Node Type']} of ${node['Relation Name']}: ${text}`),
    );
  }

  test('are as unknown as ids that nobody has: equal answers, equal statements, equal rows touched (hazard H11)', async () => {
    const before = await stateOf(victim);
    const [foreign, unknown] = [await attack('theirs'), await attack('nobody')];
    expect(foreign.answers).toEqual(unknown.answers);
    expect(foreign.touched).toEqual(unknown.touched);
    expect(foreign.touched.length).toBeGreaterThan(0);
    expect(await stateOf(victim)).toEqual(before);
  }, 60_000);

  test('are for their owner to pull', async () => {
    const { rows } = await rind.sql.query(
      'SELECT count(*)::int AS count FROM projects WHERE user_id = $1 AND NOT is_deleted',
      [victim.id],
    );
    expect(rows).toEqual([{ count: FOREIGN_ROWS }]);
    expect((await pull(victim, '')).status).toBe(200);
  });

  test('are never read: each statement goes to the rows of its user by an index (hazard H11)', async () => {
    const account = await rind.signUp();
    plans = [];
    await attack('theirs');
    const attacks = plans;
    plans = [];
    // More than a small answer has: a COPY.
    const own = Array.from({ length: SMALL_PULL_ROWS + 1 }, (_, index) =>
      recordsOf(`own-${index}`, ''),
    );
    const changes = Object.fromEntries(
      names.map((name) => [name, { created: own.flatMap((records) => records[name]!) }]),
    );
    await rind.app.get(SyncService).write(account.id, changes);
    expect((await pull(account, '')).status).toBe(200);
    expect((await pull(account, 'lastPulledAt=1')).status).toBe(200);
    await forgetLongAgo(account, 'own-0');
    await rind.app.get(TombstonesService).purge();
    const executed = [...attacks, ...plans];
    const purged = executed.filter(({ 'Query Text': text }) =>
      text.includes('DELETE FROM "tasks"'),
    );
    expect(purged).toHaveLength(1);
    const copied = executed.filter(({ 'Query Text': text }) => text.startsWith('COPY'));
    expect(copied.length).toBeGreaterThan(names.length);
    expect(findBroadReads(executed)).toEqual([]);
  }, 60_000);
});
