import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { addColumns, schemaMigrations } from '@nozbe/watermelondb/Schema/migrations/index.js';
import { appSchema, tableSchema } from '@nozbe/watermelondb/Schema/index.js';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { clientComplaints, Device, type Push } from './device.js';
import { type AppRelease, firstRelease } from './device-schema.js';

type Raw = { id: string } & Record<string, unknown>;
type Reply = { status: number; body: unknown };

const noChanges = () => ({
  projects: { created: [] as Raw[], updated: [] as Raw[], deleted: [] as string[] },
  tasks: { created: [] as Raw[], updated: [] as Raw[], deleted: [] as string[] },
});

/** Answers what the test tells it to, and records what the client sent. */
class ScriptedServer {
  readonly pulls: URLSearchParams[] = [];
  readonly pushes: Push[] = [];
  readonly authorizations: (string | undefined)[] = [];
  pull: () => unknown = () => ({ changes: noChanges(), timestamp: 1000 + this.pulls.length });
  push: () => Reply = () => ({ status: 200, body: {} });
  readonly #server: Server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    this.authorizations.push(request.headers.authorization);
    let reply: Reply;
    if (request.method === 'GET' && url.pathname === '/api/v1/sync/pull') {
      this.pulls.push(url.searchParams);
      reply = { status: 200, body: this.pull() };
    } else {
      this.pushes.push((await json(request)) as Push);
      reply = this.push();
    }
    response.writeHead(reply.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(reply.body));
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** The next pulls answer these changes. */
  has(changes: Partial<ReturnType<typeof noChanges>>, more: object = {}): void {
    this.pull = () => ({ changes, timestamp: 1000 + this.pulls.length, ...more });
  }
}

const task = (id: string, fields: Record<string, unknown> = {}): Raw => ({
  id,
  title: 'Pulled',
  description: null,
  is_completed: false,
  project_id: 'p1',
  created_at: 1,
  updated_at: 1,
  ...fields,
});
const pulled = (lists: Partial<ReturnType<typeof noChanges>['tasks']>) => ({
  ...noChanges(),
  tasks: { created: [], updated: [], deleted: [], ...lists },
});
const local = { title: 'Local', project_id: 'p1' };

let server: ScriptedServer;
let device: Device;

beforeEach(async () => {
  clientComplaints.length = 0;
  server = new ScriptedServer();
  device = new Device({
    name: 'phone',
    baseUrl: await server.start(),
    accessToken: () => 'token',
    now: () => 5,
  });
});
afterEach(() => server.stop());

describe('what the client sends', () => {
  test('rule 1: the first pull has the text null for cursor and migration', async () => {
    await device.sync();
    await device.sync();
    expect(server.pulls.map((query) => Object.fromEntries(query))).toEqual([
      { lastPulledAt: 'null', schemaVersion: '1', migration: 'null' },
      { lastPulledAt: '1001', schemaVersion: '1', migration: 'null' },
    ]);
    expect(server.pushes).toEqual([]);
    expect(server.authorizations).toEqual(['Bearer token', 'Bearer token']);
  });

  test('rule 15: after an app update, the migration', async () => {
    await device.create('tasks', local, 't1');
    await device.sync();
    await device.install(secondRelease());
    await device.sync();
    await device.sync();
    expect(server.pulls.map((query) => JSON.parse(query.get('migration') ?? ''))).toEqual([
      null,
      { from: 1, tables: [], columns: [{ table: 'tasks', columns: ['priority'] }] },
      null,
    ]);
    expect((await device.dump())['tasks']).toMatchObject([{ id: 't1', priority: 0 }]);
  });

  test('rule 21: raw rows with bookkeeping, every table and list, the cursor of this pull', async () => {
    server.has(pulled({ updated: [task('t2'), task('t3')] }));
    await device.sync();
    server.has(noChanges());
    await device.create('tasks', local, 't1');
    await device.update('tasks', 't2', { is_completed: true });
    await device.delete('tasks', 't3');
    await device.sync();
    const created = { ...task('t1', { title: 'Local' }), created_at: 5, updated_at: 5 };
    const updated = task('t2', { is_completed: true, updated_at: 5 });
    expect(server.pushes).toEqual([
      {
        lastPulledAt: 1002,
        changes: {
          projects: { created: [], updated: [], deleted: [] },
          tasks: {
            created: [{ ...created, _status: 'created', _changed: '' }],
            updated: [{ ...updated, _status: 'updated', _changed: 'updated_at,is_completed' }],
            deleted: ['t3'],
          },
          notifications: { created: [], updated: [], deleted: [] },
        },
      },
    ]);
    expect(await device.hasUnsyncedChanges()).toBe(false);
  });
});

describe('what the client makes of a pull', () => {
  test('rules 2, 3: a missing list and a textual timestamp fail the sync', async () => {
    server.has({ tasks: { updated: [], deleted: [] } as never });
    await expect(device.sync()).rejects.toThrow();
    server.has(noChanges(), { timestamp: '1001' });
    await expect(device.sync()).rejects.toThrow('invalid timestamp');
  });

  test('rule 8: an id in created and deleted stays on a fresh device', async () => {
    server.has(pulled({ created: [task('t1')], deleted: ['t1'] }));
    await device.sync();
    expect((await device.dump())['tasks']).toHaveLength(1);
  });

  test.each([
    ['created', 'undoes', []],
    ['updated', 'leaves', [{ id: 't1' }]],
  ] as const)('rule 9: a record in %s %s a pending delete', async (list, _, pushed) => {
    await device.create('tasks', local, 't1');
    await device.sync();
    await device.delete('tasks', 't1');
    server.has(pulled({ [list]: [task('t1')] }));
    await device.sync();
    const deleted = server.pushes.slice(1).flatMap((push) => push.changes['tasks']?.deleted ?? []);
    expect(deleted).toEqual(pushed.map(({ id }) => id));
    expect((await device.dump())['tasks']).toHaveLength(list === 'created' ? 1 : 0);
  });

  test('rule 10: bookkeeping in a record kills the sync', async () => {
    server.has(pulled({ updated: [task('t1', { _status: 'synced' })] }));
    await expect(device.sync()).rejects.toThrow('_status');
  });

  test('rules 4, 5: a smaller timestamp is taken all the same, and complained about', async () => {
    await device.sync();
    server.has(noChanges(), { timestamp: 7.9 });
    await device.sync();
    await device.sync();
    expect(server.pulls.at(-1)?.get('lastPulledAt')).toBe('7');
    expect(clientComplaints.join()).toContain('previous pulled-at time was greater');
  });

  test('rule 19: a replacement removes what it does not contain, in the tables it lists', async () => {
    server.has({
      projects: { created: [], updated: [{ id: 'p1', name: 'Kept' }], deleted: [] },
      tasks: { created: [], updated: [task('t1'), task('t2')], deleted: [] },
    });
    await device.sync();
    await device.create('tasks', local, 'new');
    const { tasks } = pulled({ updated: [task('t2')] });
    server.has({ tasks }, { experimentalStrategy: 'replacement' });
    await device.sync();
    const dump = await device.dump();
    expect(dump['projects']).toHaveLength(1);
    expect(dump['tasks']?.map(({ id }) => id)).toEqual(['new', 't2']);
  });

  test('keys beside changes and timestamp are ignored', async () => {
    server.has(noChanges(), { account: 'a', timeline: 'b' });
    await device.sync();
    expect(clientComplaints).toEqual([]);
  });
});

describe('what the client makes of a push', () => {
  test('rule 29: after a conflict it merges per column, its own columns win', async () => {
    server.has(pulled({ updated: [task('t1')] }));
    await device.sync();
    await device.update('tasks', 't1', { title: 'Mine' });
    server.has(noChanges());
    server.push = () => {
      server.has(pulled({ updated: [task('t1', { title: 'Theirs', is_completed: true })] }));
      server.push = () => ({ status: 200, body: {} });
      return { status: 409, body: { code: 'sync_conflict' } };
    };
    await device.syncWithRetry();
    expect(await device.row('tasks', 't1')).toMatchObject({ title: 'Mine', is_completed: true });
    expect(server.pushes).toHaveLength(2);
  });

  test('an error carries status and problem', async () => {
    await device.create('tasks', local, 't1');
    server.push = () => ({ status: 422, body: { code: 'invalid_cursor' } });
    const problem = { code: 'invalid_cursor' };
    await expect(device.syncWithRetry()).rejects.toMatchObject({ status: 422, problem });
    expect(server.pushes).toHaveLength(1);
    expect(await device.hasUnsyncedChanges()).toBe(true);
  });

  test('rule 34: rejected records stay dirty and are pushed again', async () => {
    await device.createMany('tasks', [
      { ...local, id: 'bad' },
      { ...local, id: 'good' },
    ]);
    const body = { experimentalRejectedIds: { tasks: ['bad'] } };
    server.push = () => ({ status: 200, body });
    const { rejectedIds, pushAnswer } = await device.sync();
    await device.sync();
    expect({ rejectedIds, pushAnswer }).toEqual({
      rejectedIds: { tasks: ['bad'] },
      pushAnswer: body,
    });
    expect(server.pushes[1]?.changes['tasks']?.created).toMatchObject([{ id: 'bad' }]);
  });

  test('rule 24: what was edited while its first push was under way is pushed as created again', async () => {
    await device.create('tasks', local, 't1');
    await device.sync({ onPushing: () => device.update('tasks', 't1', { title: 'Edited' }) });
    await device.sync();
    expect(server.pushes.map(({ changes }) => changes['tasks']?.created)).toMatchObject([
      [{ title: 'Local' }],
      [{ title: 'Edited' }],
    ]);
  });
});

function secondRelease(): AppRelease {
  const priority = { name: 'priority', type: 'number' } as const;
  const { projects, tasks } = firstRelease.schema.tables;
  const columns = (table = tasks) => table?.columnArray ?? [];
  return {
    schema: appSchema({
      version: 2,
      tables: [
        tableSchema({ name: 'projects', columns: columns(projects) }),
        tableSchema({ name: 'tasks', columns: [...columns(), priority] }),
      ],
    }),
    migrations: schemaMigrations({
      migrations: [{ toVersion: 2, steps: [addColumns({ table: 'tasks', columns: [priority] })] }],
    }),
  };
}
