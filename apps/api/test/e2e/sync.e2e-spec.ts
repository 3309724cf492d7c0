import type { PullResult } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

describe('sync over HTTP', () => {
  let rind: TestApp;

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterAll(() => rind.stop());

  const Session = { open: () => SyncSession.open(rind) };

  const project = (id: string, columns: object = {}) => ({
    id,
    name: `Project ${id}`,
    description: null,
    created_at: 1,
    updated_at: 2,
    ...columns,
  });
  const task = (id: string, columns: object = {}) => ({
    id,
    title: `Task ${id}`,
    description: null,
    is_completed: false,
    project_id: '',
    created_at: 1,
    updated_at: 2,
    ...columns,
  });

  describe('pull', () => {
    test('sends full records in updated, without bookkeeping, exactly as they were pushed (rules 9, 10, 12, 33)', async () => {
      const session = await Session.open();
      const record = task('t', {
        title: 'quotes " \\ and \n lines, ümlaut, 🧹,   ',
        description: '',
        is_completed: true,
        created_at: 1_790_000_000_000.5,
        updated_at: -1e21,
      });
      const { body } = await session.write({
        tasks: { created: [{ ...record, _status: 'created', _changed: '' }] },
      });
      expect(body.changes['tasks']).toEqual({ created: [], updated: [record], deleted: [] });
    });

    test.each([
      ['nothing', ''],
      ['the text null', 'lastPulledAt=null&schemaVersion=null&migration=null'],
      ['empty parameters', 'lastPulledAt=&migration='],
      ['zero', 'lastPulledAt=0'],
    ])('%s as cursor is a first pull: live records only (rules 1 and 6)', async (_name, query) => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a'), project('b')] } });
      await session.write({ projects: { deleted: ['a'] } });
      const { rows, deleted } = await session.pull(query);
      expect(rows('projects').map(({ id }) => id)).toEqual(['b']);
      expect(deleted('projects')).toEqual([]);
    });

    test('answers what changed after the cursor, and nothing twice (rules 4 and 7)', async () => {
      const session = await Session.open();
      const first = await session.write({ projects: { created: [project('a')] } });
      const second = await session.write({ tasks: { created: [task('t')] } });
      expect(first.rows('projects')).toHaveLength(1);
      expect([second.rows('projects'), second.rows('tasks').length]).toEqual([[], 1]);
      const { rows, body } = await session.pull();
      expect([rows('projects'), rows('tasks')]).toEqual([[], []]);
      expect(body.timestamp).toBe(second.body.timestamp);
    });

    test('first pulls name no deleted rows (rule 6)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('p')] } });
      await session.write({ projects: { deleted: ['p'] } });
      const { body } = await session.pull('');
      expect(body.changes['projects']).toEqual({ created: [], updated: [], deleted: [] });
    });

    test('cuts fractions of a cursor, as the client does (rule 3)', async () => {
      const session = await Session.open();
      const { body } = await session.write({ projects: { created: [project('a')] } });
      expect((await session.pull(`lastPulledAt=${body.timestamp}.9`)).rows('projects')).toEqual([]);
    });

    test.each(['-1', 'abc', '1e3', '99999999999999999', 'NaN', '0x10', '1&lastPulledAt=2'])(
      'refuses the cursor %s',
      async (cursor) => {
        const { account } = await Session.open();
        const answer = await rind.request('GET', `/sync/pull?lastPulledAt=${cursor}`, {
          token: account.accessToken,
        });
        expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_cursor' } });
      },
    );

    test('a cursor ahead of the clock is answered as an ordinary pull (rule 5)', async () => {
      const session = await Session.open();
      const clock = session.cursor;
      const { body, rows } = await session.pull(`lastPulledAt=${clock + 1_000_000}`);
      expect([body.timestamp, rows('projects')]).toEqual([clock, []]);
    });

    test('a migration gets new tables and tables with new columns whole, and nobody else’s names (rules 15 to 17)', async () => {
      const session = await Session.open();
      await session.write({
        projects: { created: [project('p'), project('gone')] },
        tasks: { created: [task('t')] },
      });
      await session.write({ projects: { deleted: ['gone'] } });
      const migration = (argument: object) =>
        session.pull(
          `lastPulledAt=${session.cursor}&schemaVersion=2&migration=${encodeURIComponent(JSON.stringify(argument))}`,
        );
      const newTable = await migration({ from: 1, tables: ['tasks'], columns: [] });
      expect([newTable.rows('projects').length, newTable.rows('tasks').length]).toEqual([0, 1]);
      const newColumn = await migration({
        from: 1,
        tables: ['users', 'sync_clocks', '__proto__', "tasks'; DROP TABLE tasks; --"],
        columns: [{ table: 'projects', columns: ['description', 'password_hash'] }],
      });
      expect(Object.keys(newColumn.body.changes)).toEqual(['projects', 'tasks', 'notifications']);
      expect(newColumn.rows('projects').map(({ id }) => id)).toEqual(['p']);
      expect([newColumn.rows('tasks'), newColumn.deleted('projects')]).toEqual([[], []]);
    });

    test.each(['{', '[]', '"x"', '{"from":1}', '{"from":1,"tables":[1],"columns":[]}'])(
      'refuses the malformed migration %s',
      async (migration) => {
        const { account } = await Session.open();
        const answer = await rind.request(
          'GET',
          `/sync/pull?lastPulledAt=1&migration=${encodeURIComponent(migration)}`,
          { token: account.accessToken },
        );
        expect(answer).toMatchObject({
          status: 422,
          body: { code: 'validation_failed', errors: [{ pointer: '/migration' }] },
        });
      },
    );

    test('a cursor below the floor gets everything, to replace what the device has (rule 19)', async () => {
      const session = await Session.open();
      // Older than the cursor, and still part of the full data set.
      await session.write({ projects: { created: [project('old')] } });
      const before = session.cursor;
      await session.write({ projects: { created: [project('a')] } });
      await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [
        session.account.id,
      ]);
      const { body, rows } = await session.pull(`lastPulledAt=${before}`);
      expect(body.experimentalStrategy).toBe('replacement');
      expect(rows('projects')).toHaveLength(2);
      expect(body.changes['tasks']).toEqual({ created: [], updated: [], deleted: [] });
      expect((await session.pull()).body.experimentalStrategy).toBeUndefined();
    });
  });

  describe('push', () => {
    test('created for an existing id updates it, updated for an unknown id creates it (rules 24 and 25)', async () => {
      const session = await Session.open();
      await session.write({ projects: { updated: [project('a', { name: 'created by update' })] } });
      const { rows } = await session.write({
        projects: { created: [project('a', { name: 'updated by create' })] },
      });
      expect(rows('projects')).toEqual([project('a', { name: 'updated by create' })]);
    });

    test('deleting what is unknown or deleted succeeds and changes nothing (rule 27)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a')] } });
      await session.write({ projects: { deleted: ['a'] } });
      const clock = session.cursor;
      expect((await session.push({ projects: { deleted: ['a', 'never'] } })).status).toBe(200);
      expect((await session.push({ projects: { deleted: ['a'] } }, null)).status).toBe(200);
      expect((await session.pull()).body.timestamp).toBe(clock);
    });

    test('what changed after the cursor conflicts, record by record, and nothing is applied (rules 22 and 28)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a'), project('b'), project('c')] } });
      const stale = session.cursor;
      await session.write({
        projects: { updated: [project('a', { name: 'newer' })], deleted: ['c'] },
      });
      const answer = await session.push(
        {
          projects: {
            created: [project('new'), project('a')],
            updated: [project('b', { name: 'alone fine' }), project('c')],
          },
        },
        stale,
      );
      expect(answer).toMatchObject({ status: 409, body: { code: 'sync_conflict' } });
      expect(new Set(answer.body.errors?.map(({ pointer, code }) => `${pointer} ${code}`))).toEqual(
        new Set([
          '/changes/projects/created/1 changed_on_server',
          '/changes/projects/updated/1 deleted_on_server',
        ]),
      );
      expect((await session.pull()).rows('projects')).toEqual([]);
      expect((await session.push({ projects: { updated: [project('b')] } }, stale)).status).toBe(
        200,
      );
    });

    test('a stale delete of a changed record conflicts (rule 28)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a')] } });
      const stale = session.cursor;
      await session.write({ projects: { updated: [project('a')] } });
      expect((await session.push({ projects: { deleted: ['a'] } }, stale)).status).toBe(409);
    });

    test.each([[null], [0], [undefined]])(
      'with the cursor %s nothing has been seen: every row that exists conflicts (rule 28)',
      async (cursor) => {
        const session = await Session.open();
        await session.write({ projects: { created: [project('a')] } });
        const body = { changes: { projects: { updated: [project('a')] } }, lastPulledAt: cursor };
        const token = session.account.accessToken;
        expect((await rind.request('POST', '/sync/push', { token, body })).status).toBe(409);
      },
    );

    test('a cursor below the floor or ahead of the clock conflicts', async () => {
      const session = await Session.open();
      const old = session.cursor;
      await session.write({ projects: { created: [project('a')] } });
      await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [
        session.account.id,
      ]);
      const changes = { projects: { created: [project('b')] } };
      expect((await session.push(changes, old)).status).toBe(409);
      expect((await session.push(changes, session.cursor + 1)).status).toBe(409);
      expect((await session.push(changes)).status).toBe(200);
    });

    test('an update of a row that was deleted before the cursor is ignored, and the device is told (rule 26)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a')] } });
      await session.write({ projects: { deleted: ['a'] } });
      const { body } = await session.push({ projects: { updated: [project('a')] } });
      expect(body.warnings).toMatchObject([{ table: 'projects', id: 'a', code: 'deleted_before' }]);
      const { rows, deleted } = await session.pull();
      expect([rows('projects'), deleted('projects')]).toEqual([[], ['a']]);
    });

    test('a deleted id may be created again (hazard H8)', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('a', { description: 'old' })] } });
      await session.write({ projects: { deleted: ['a'] } });
      const { rows, deleted } = await session.write({
        projects: { created: [{ id: 'a', name: 'again', created_at: 1, updated_at: 1 }] },
      });
      expect(rows('projects')).toEqual([
        { id: 'a', name: 'again', description: null, created_at: 1, updated_at: 1 },
      ]);
      expect(deleted('projects')).toEqual([]);
    });

    test('a missing column keeps its value on update and gets its default on create (rule 18)', async () => {
      const session = await Session.open();
      await session.write({
        tasks: {
          created: [task('old', { description: 'kept', is_completed: true, created_at: 7 })],
        },
      });
      const { rows } = await session.write({
        tasks: {
          created: [{ id: 'new', title: 'New' }, task('full')],
          updated: [{ id: 'old', title: 'Changed', description: null }],
        },
      });
      const byId = Object.fromEntries(rows('tasks').map((row) => [row.id, row]));
      expect(byId['old']).toEqual(
        task('old', { title: 'Changed', description: null, is_completed: true, created_at: 7 }),
      );
      expect(byId['new']).toEqual(task('new', { title: 'New', created_at: 0, updated_at: 0 }));
      expect(byId['full']).toEqual(task('full'));
    });

    test('each id counts once: delete beats update beats create, later beats earlier', async () => {
      const session = await Session.open();
      await session.write({ projects: { created: [project('gone')] } });
      const { rows, deleted } = await session.write({
        projects: {
          created: [
            project('a', { name: 'created' }),
            project('b', { name: 'first' }),
            project('b', { name: 'second' }),
          ],
          updated: [project('a', { name: 'updated' }), project('gone')],
          deleted: ['gone', 'gone'],
        },
      });
      expect(
        rows('projects')
          .map(({ id, name }) => `${id} ${String(name)}`)
          .toSorted(),
      ).toEqual(['a updated', 'b second']);
      expect(deleted('projects')).toEqual(['gone']);
    });

    test('deleting a parent deletes its children; a child of a deleted parent is stored as deleted (rule 32, hazard H10)', async () => {
      const session = await Session.open();
      const other = await Session.open();
      await other.write({
        projects: { created: [project('p')] },
        tasks: { created: [task('c', { project_id: 'p' })] },
      });
      await session.write({
        projects: { created: [project('p')] },
        tasks: { created: [task('c', { project_id: 'p' }), task('free')] },
      });
      const { deleted, body } = await session.write({
        projects: { deleted: ['p'] },
        tasks: { created: [task('same-push', { project_id: 'p' })] },
      });
      expect([deleted('projects'), deleted('tasks').toSorted()]).toEqual([
        ['p'],
        ['c', 'same-push'],
      ]);
      expect(body.changes['tasks']?.updated).toEqual([]);
      const late = await session.write({ tasks: { updated: [task('late', { project_id: 'p' })] } });
      expect([late.rows('tasks'), late.deleted('tasks')]).toEqual([[], ['late']]);
      const { rows } = await other.pull('');
      expect([rows('projects').length, rows('tasks').length]).toEqual([1, 1]);
    });

    test('a child may arrive before its parent, and a parent that never comes is no error (hazard H10)', async () => {
      const session = await Session.open();
      await session.write({
        tasks: {
          created: [task('c', { project_id: 'later' }), task('d', { project_id: 'never' })],
        },
      });
      await session.write({ projects: { created: [project('later')] } });
      const { rows } = await session.pull('');
      expect(
        rows('tasks')
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(['c', 'd']);
    });

    test('another user’s ids are simply unknown, in every list (hazard H11)', async () => {
      const owner = await Session.open();
      const thief = await Session.open();
      await owner.write({
        projects: { created: [project('p')] },
        tasks: { created: [task('t', { project_id: 'p' })] },
      });
      const seen = await thief.pull('');
      expect([seen.rows('projects'), seen.rows('tasks')]).toEqual([[], []]);
      await thief.write({
        projects: { created: [project('p', { name: 'stolen' }), project('own')] },
        tasks: {
          updated: [task('t', { title: 'stolen' })],
          created: [task('x', { project_id: 'p' })],
        },
      });
      await thief.write({ projects: { deleted: ['p'] }, tasks: { deleted: ['t'] } });
      const { rows } = await owner.pull('');
      expect([rows('projects'), rows('tasks')]).toEqual([
        [project('p')],
        [task('t', { project_id: 'p' })],
      ]);
    });

    test('another user’s deletions and newer rows are no conflicts (hazard H11)', async () => {
      const thief = await Session.open();
      const owner = await Session.open();
      await owner.write({ projects: { created: [project('newer'), project('gone')] } });
      await owner.write({ projects: { deleted: ['gone'] } });
      const { status } = await thief.push({
        projects: { created: [project('newer'), project('gone')] },
        tasks: { created: [task('t', { project_id: 'gone' })] },
      });
      expect(status).toBe(200);
      const { rows } = await thief.pull();
      expect([rows('projects').length, rows('tasks').length]).toEqual([2, 1]);
    });

    test('repeating a push word for word leaves one copy (rule 35)', async () => {
      const session = await Session.open();
      const changes = { projects: { created: [project('a')] } };
      const first = await session.push(changes);
      const second = await session.push(changes);
      expect([first.status, second.status]).toEqual([200, 409]);
      expect((await session.pull()).rows('projects')).toEqual([project('a')]);
    });

    test('10,000 records in one push, and back (rule 36)', async () => {
      const session = await Session.open();
      const created = Array.from({ length: 10_000 }, (_, n) =>
        task(`t${n}`, { description: 'x'.repeat(150) }),
      );
      const { rows } = await session.write({ tasks: { created } });
      expect(rows('tasks')).toHaveLength(10_000);
    });

    test('what a device sends beyond the schema is repaired or ignored, and named (rules 23, 30 and 31)', async () => {
      const session = await Session.open();
      const { status, body } = await session.push({
        projects: {
          created: [
            {
              id: 'a',
              name: 5,
              description: ['x'],
              created_at: '2020-01-01',
              updated_at: null,
              owner: 'me',
              user_id: 'x',
              version: 1,
              _status: 'created',
            },
            { id: 'b', name: 'nul \u0000 and \ud800 surrogate', created_at: -0, updated_at: 1 },
            'no record',
            null,
          ],
        },
        tasks: {
          created: [
            { id: 't', title: 'ok', is_completed: 1 },
            { id: 'u', is_completed: 'yes' },
          ],
        },
        invoices: { created: [{ id: 'i' }] },
      });
      expect(status).toBe(200);
      const seen = body.warnings.map(({ table, id, column, code }) =>
        [table, id, column, code].join(' '),
      );
      expect(seen).toEqual([
        'invoices   unknown_table',
        'projects a name wrong_type',
        'projects a description wrong_type',
        'projects a created_at wrong_type',
        'projects a updated_at wrong_type',
        'projects a owner unknown_column',
        'projects a user_id unknown_column',
        'projects a version unknown_column',
        'projects b name unstorable_text',
        'projects   not_a_record',
        'projects   not_a_record',
        'tasks u is_completed wrong_type',
      ]);
      const { rows } = await session.pull();
      expect(rows('projects')).toEqual([
        { id: 'a', name: '', description: null, created_at: 0, updated_at: 0 },
        {
          id: 'b',
          name: 'nul  and \ufffd surrogate',
          description: null,
          created_at: 0,
          updated_at: 1,
        },
      ]);
      expect(
        new Set(rows('tasks').map(({ id, is_completed }) => `${id} ${String(is_completed)}`)),
      ).toEqual(new Set(['t true', 'u false']));
    });

    test('content that cannot be stored is left out and stays with its device; the rest is applied (rule 34)', async () => {
      const session = await Session.open();
      const { body } = await session.push({
        projects: {
          created: [
            project('fine'),
            project('long', { name: 'x'.repeat(501) }),
            project("bad'id"),
            project('x'.repeat(65)),
            project(''),
            { name: 'without id' },
          ],
          deleted: ['bad"id', 7],
        },
      });
      expect(body.experimentalRejectedIds).toEqual({
        projects: ['long', "bad'id", 'x'.repeat(65), ''],
      });
      expect(body.warnings.map(({ code }) => code)).toEqual([
        'too_long',
        'invalid_id',
        'invalid_id',
        'invalid_id',
        'invalid_id',
        'invalid_id',
        'invalid_id',
      ]);
      expect((await session.pull()).rows('projects').map(({ id }) => id)).toEqual(['fine']);
    });

    test('a push of nothing but rejected records does not move the clock', async () => {
      const session = await Session.open();
      const clock = session.cursor;
      const { body } = await session.push({ projects: { created: [project('a/b')] } });
      expect(body.timestamp).toBe(clock);
      expect((await session.pull()).body.timestamp).toBe(clock);
    });

    test.each([
      ['no changes', { lastPulledAt: 1 }, '/changes'],
      ['a list of changes', { changes: [], lastPulledAt: 1 }, '/changes'],
      ['a list of tables', { changes: { projects: [] }, lastPulledAt: 1 }, '/changes/projects'],
      [
        'lists that are none',
        { changes: { projects: { created: {} } }, lastPulledAt: 1 },
        '/changes/projects/created',
      ],
      ['an array', [], ''],
      ['a text', '"x"', ''],
      ['null', 'null', ''],
    ])('refuses %s', async (_name, body, pointer) => {
      const { account } = await Session.open();
      const answer = await rind.request('POST', '/sync/push', { token: account.accessToken, body });
      expect(answer).toMatchObject({
        status: 422,
        body: { code: 'validation_failed', errors: [{ pointer }] },
      });
    });

    test.each([[-1], ['1'], [{}], [1e300], [true]])('refuses the cursor %j', async (cursor) => {
      const session = await Session.open();
      expect(await session.push({}, cursor)).toMatchObject({
        status: 422,
        body: { code: 'invalid_cursor' },
      });
    });
  });

  test('SYNC_STRICT refuses what would be repaired, with a pointer for each, and applies nothing', async () => {
    const strict = await TestApp.start({ env: { SYNC_STRICT: 'true' } });
    try {
      const { accessToken: token } = await strict.signUp();
      const body = {
        changes: {
          projects: { created: [project('a'), { ...project('b'), name: 5, colour: 'red' }] },
        },
        lastPulledAt: null,
      };
      const refused = await strict.request('POST', '/sync/push', { token, body });
      expect(refused).toMatchObject({
        status: 422,
        body: {
          code: 'sync_content_refused',
          errors: [
            { pointer: '/changes/projects/created/1/name', code: 'wrong_type' },
            { pointer: '/changes/projects/created/1/colour', code: 'unknown_column' },
          ],
        },
      });
      const { body: pulled } = await strict.request<PullResult>('GET', '/sync/pull', { token });
      expect(pulled.changes['projects']?.updated).toEqual([]);
    } finally {
      await strict.stop();
    }
  });
});
