import type { PushResult } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Database } from '../../src/platform/database/database.js';
import { type SyncChange, SyncEvents } from '../../src/sync/sync-events.js';
import { SyncService } from '../../src/sync/sync.service.js';
import { TombstonesService } from '../../src/sync/tombstones.service.js';
import { folders, messages, orders, pictures } from '../support/example-tables.js';
import { firstTables } from '../support/first-tables.js';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

describe('rules that a table declares', () => {
  let rind: TestApp;
  let session: SyncSession;

  beforeAll(async () => {
    rind = await TestApp.start({ tables: [...firstTables, folders, pictures, messages, orders] });
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    session = await SyncSession.open(rind);
  });

  const service = () => rind.app.get(SyncService);
  const write = (changes: Parameters<SyncService['write']>[1]) =>
    service().write(session.account.id, changes);
  const warningsOf = ({ warnings }: PushResult) =>
    warnings.map(({ id, column, code }) => [id, column, code].filter(Boolean).join(' '));

  const folder = (id: string, parent_id: string | null = null, cover_id: string | null = null) => ({
    id,
    name: id,
    parent_id,
    cover_id,
  });

  describe('cascades (rule 32)', () => {
    test('follow a reference to the same table down to the last descendant', async () => {
      const chain = Array.from({ length: 50 }, (_, n) =>
        folder(`f${n}`, n === 0 ? null : `f${n - 1}`),
      );
      await session.write({ folders: { created: [...chain, folder('other')] } });
      const { deleted } = await session.write({ folders: { deleted: ['f0'] } });
      expect(new Set(deleted('folders'))).toEqual(new Set(chain.map(({ id }) => id)));
      expect((await session.pull('')).rows('folders').map(({ id }) => id)).toEqual(['other']);
    });

    test('end on cycles, within a table and across two', async () => {
      await session.write({
        folders: {
          created: [
            folder('a', 'b'),
            folder('b', 'a'),
            folder('c', null, 'p'),
            folder('self', 'self'),
          ],
        },
        pictures: { created: [{ id: 'p', folder_id: 'c' }] },
      });
      const { deleted } = await session.write({ folders: { deleted: ['a', 'c', 'self'] } });
      expect(deleted('folders').toSorted()).toEqual(['a', 'b', 'c', 'self']);
      expect(deleted('pictures')).toEqual(['p']);
    });

    test('take a late child with its own children (hazard H10)', async () => {
      await session.write({ folders: { created: [folder('a')] } });
      await session.write({ folders: { deleted: ['a'] } });
      const { rows, deleted } = await session.write({
        folders: { created: [folder('b', 'a'), folder('c', 'b'), folder('free')] },
      });
      expect(rows('folders').map(({ id }) => id)).toEqual(['free']);
      expect(deleted('folders').toSorted()).toEqual(['b', 'c']);
    });

    test('ignore what clients may not delete, and conflicts', async () => {
      await session.write({ folders: { created: [folder('a')] } });
      const stale = session.cursor;
      await session.write({ folders: { created: [folder('b', 'a')] } });
      await session.write({ folders: { updated: [folder('b', 'a')] } });
      expect((await session.push({ folders: { deleted: ['a'] } }, stale)).status).toBe(200);
      expect((await session.pull()).deleted('folders').toSorted()).toEqual(['a', 'b']);
    });
  });

  describe('what clients may not do is accepted and reverted', () => {
    beforeEach(async () => {
      await write({ messages: { created: [{ id: 'm', title: 'Hello', data: '{}' }] } });
      await session.pull();
    });

    test('a create is stored as deleted, so that the next pull removes it', async () => {
      const { status, body } = await session.push({
        messages: { created: [{ id: 'mine', title: 'x', data: '', pinned: true }] },
      });
      expect([status, warningsOf(body)]).toEqual([200, ['mine create_refused']]);
      const { rows, deleted } = await session.pull();
      expect([rows('messages'), deleted('messages')]).toEqual([[], ['mine']]);
    });

    test('a create that came as an update is ignored', async () => {
      const clock = session.cursor;
      const { body } = await session.push({ messages: { updated: [{ id: 'lost', title: 'x' }] } });
      expect(warningsOf(body)).toEqual(['lost create_refused']);
      expect((await session.pull()).body.timestamp).toBe(clock);
    });

    test('a delete gives the row a new version, so that the next pull restores it', async () => {
      const { body } = await session.push({ messages: { deleted: ['m'] } });
      expect(warningsOf(body)).toEqual(['m delete_refused']);
      expect((await session.pull()).rows('messages')).toMatchObject([{ id: 'm', title: 'Hello' }]);
    });

    test('of an update the allowed columns are written, the others restored', async () => {
      const { body } = await session.push({
        messages: {
          updated: [
            { id: 'm', title: 'Forged', data: '{}', read_at: 5, pinned: false, _status: 'updated' },
          ],
        },
      });
      // `data` is as it is stored, and no forgery.
      expect(warningsOf(body)).toEqual(['m title update_refused']);
      expect((await session.pull()).rows('messages')).toEqual([
        { id: 'm', title: 'Hello', data: '{}', read_at: 5, pinned: false },
      ]);
    });

    test('an update of forbidden columns alone still brings the row back', async () => {
      await session.push({ messages: { updated: [{ id: 'm', title: 'Forged' }] } });
      expect((await session.pull()).rows('messages')).toMatchObject([{ id: 'm', title: 'Hello' }]);
    });

    test('a column for create is set once; a server column takes its default', async () => {
      const created = await session.push({
        orders: { created: [{ id: 'o', kind: 'gift', note: 'n', amount: 2, total: 99 }] },
      });
      expect(warningsOf(created.body)).toEqual(['o total update_refused']);
      await session.pull();
      const updated = await session.push({
        orders: { created: [{ id: 'o', kind: 'bribe', note: 'changed', amount: 2, total: 0 }] },
      });
      expect(warningsOf(updated.body)).toEqual(['o kind update_refused']);
      expect((await session.pull()).rows('orders')).toEqual([
        { id: 'o', kind: 'gift', note: 'changed', amount: 2, total: 0 },
      ]);
    });

    test('SYNC_STRICT refuses it all', async () => {
      const strict = await TestApp.start({
        env: { SYNC_STRICT: 'true' },
        tables: [...firstTables, messages],
      });
      try {
        const other = await SyncSession.open(strict);
        expect(await other.push({ messages: { created: [{ id: 'x' }] } })).toMatchObject({
          status: 422,
          body: {
            code: 'sync_content_refused',
            errors: [{ pointer: '/changes/messages/created/0', code: 'create_refused' }],
          },
        });
      } finally {
        await strict.stop();
      }
    });
  });

  describe('the policy merge (departs from rule 23)', () => {
    const order = (columns: object = {}) => ({
      id: 'o',
      kind: 'k',
      note: 'n',
      amount: 1,
      total: 0,
      ...columns,
    });
    let stale: number;

    beforeEach(async () => {
      await session.write({ orders: { created: [order()] } });
      stale = session.cursor;
      await session.write({ orders: { updated: [order({ note: 'newer', amount: 7 })] } });
    });

    test('writes just what an update says it changed, whatever happened meanwhile', async () => {
      const { status, body } = await session.push(
        { orders: { updated: [order({ note: 'stale', amount: 2, _changed: 'amount' })] } },
        stale,
      );
      expect([status, body.warnings]).toEqual([200, []]);
      expect((await session.pull()).rows('orders')).toEqual([order({ note: 'newer', amount: 2 })]);
    });

    test('a forbidden column counts only when it is named', async () => {
      const { body } = await session.push(
        {
          orders: {
            updated: [order({ kind: 'x', total: 5, note: 'z', _changed: 'note,total,unknown' })],
          },
        },
        stale,
      );
      expect(warningsOf(body)).toEqual(['o total update_refused']);
      expect((await session.pull()).rows('orders')).toEqual([order({ note: 'z', amount: 7 })]);
    });

    test('everything else conflicts as ever: creates, deletes, updates that name nothing', async () => {
      for (const changes of [
        { created: [order({ _changed: 'note' })] },
        { updated: [order({ _changed: '' })] },
        { updated: [order()] },
        { deleted: ['o'] },
      ]) {
        expect((await session.push({ orders: changes }, stale)).status).toBe(409);
      }
    });

    test('a merge onto a deleted row is ignored, and the device is told', async () => {
      await session.write({ orders: { deleted: ['o'] } });
      const clock = session.cursor;
      const merge = { orders: { updated: [order({ note: 'late', _changed: 'note' })] } };
      expect(warningsOf((await session.push(merge, stale)).body)).toEqual(['o deleted_before']);
      expect((await session.pull(`lastPulledAt=${stale}`)).body.timestamp).toBe(clock);
      expect(warningsOf((await session.push({ ...merge }, clock)).body)).toEqual([
        'o deleted_before',
      ]);
      expect((await session.pull(`lastPulledAt=${clock}`)).deleted('orders')).toEqual(['o']);
    });

    test('a late repeat of a merge gets the first answer, and overwrites nothing (rule 35)', async () => {
      const merge = { orders: { updated: [order({ note: 'merged', _changed: 'note' })] } };
      const first = await session.push(merge, stale);
      await session.pull();
      await session.write({ orders: { updated: [order({ note: 'after', amount: 7 })] } });
      const repeat = await session.push(merge, stale);
      expect([repeat.status, repeat.body]).toEqual([200, first.body]);
      expect((await session.pull('')).rows('orders')).toMatchObject([{ note: 'after' }]);
    });

    test('the same merge of another device, or a day later, is no repeat', async () => {
      const merge = { orders: { updated: [order({ note: 'merged', _changed: 'note' })] } };
      await session.push(merge, stale);
      await rind.sql.query(`UPDATE sync_answers SET created_at = now() - interval '25 hours'`);
      await session.pull();
      await session.write({ orders: { updated: [order({ note: 'after', amount: 7 })] } });
      expect((await session.push(merge, stale)).status).toBe(200);
      expect((await session.pull('')).rows('orders')).toMatchObject([{ note: 'merged' }]);
    });
  });

  describe('the server’s own writes', () => {
    test('take partial records, check no conflict, and are pulled like any other', async () => {
      await write({ messages: { created: [{ id: 'm', title: 'Hello', data: '{"a":1}' }] } });
      const timestamp = await write({ messages: { updated: [{ id: 'm', read_at: 3 }] } });
      const { rows, body } = await session.pull();
      expect(body.timestamp).toBe(timestamp);
      expect(rows('messages')).toEqual([
        { id: 'm', title: 'Hello', data: '{"a":1}', read_at: 3, pinned: false },
      ]);
    });

    test('ignore updates of what is unknown or deleted, and cascade', async () => {
      await write({ folders: { created: [folder('a'), folder('b', 'a')] } });
      await write({ folders: { deleted: ['a'] } });
      const clock = (await session.pull()).body.timestamp;
      expect(
        await write({
          folders: {
            updated: [
              { id: 'a', name: 'x' },
              { id: 'never', name: 'x' },
            ],
          },
        }),
      ).toBe(clock);
      expect((await session.pull('')).rows('folders')).toEqual([]);
    });

    test('do nothing for a user who is gone', async () => {
      await rind.sql.query('DELETE FROM users WHERE id = $1', [session.account.id]);
      expect(await write({ folders: { created: [folder('a')] } })).toBeNull();
    });

    test('are refused for content that the registry does not have', async () => {
      await expect(write({ folders: { created: [{ id: 'a', colour: 1 }] } })).rejects.toThrow(
        '/changes/folders/created/0/colour: unknown_column',
      );
    });

    test('join a transaction, and are announced after its commit and never after its rollback', async () => {
      const database = rind.app.get(Database);
      const heard: SyncChange[] = [];
      const listen = (change: SyncChange) => heard.push(change);
      const events = rind.app.get(SyncEvents).on('changed', listen);
      const rollback = database.transaction(async () => {
        await write({ folders: { created: [folder('never')] } });
        throw new Error('changed my mind');
      });
      await expect(rollback).rejects.toThrow('changed my mind');
      expect(heard).toEqual([]);
      const timestamp = await database.transaction(async () => {
        await write({ folders: { created: [folder('a')] } });
        const later = await write({ folders: { created: [folder('b')] } });
        expect(heard).toEqual([]);
        return later;
      });
      events.off('changed', listen);
      const { id: userId } = session.account;
      expect(heard.map(({ userId: user, sessionId }) => [user, sessionId])).toEqual([
        [userId, null],
        [userId, null],
      ]);
      expect(heard.at(-1)?.timestamp).toBe(timestamp);
      expect(
        (await session.pull())
          .rows('folders')
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(['a', 'b']);
    });
  });

  describe('purge of tombstones (hazard H9)', () => {
    test('forgets old deletions, raises the floor, and replaces what older devices have', async () => {
      const old = session.cursor;
      await session.write({ folders: { created: [folder('a'), folder('b')] } });
      await session.write({ folders: { deleted: ['a'] } });
      const knows = session.cursor;
      const age = 181 * 86_400_000;
      // A deletion of long ago: all of this account's past moves back in time.
      for (const table of ['folders', 'sync_clocks']) {
        await rind.sql.query(`UPDATE ${table} SET version = version - $2 WHERE user_id = $1`, [
          session.account.id,
          age,
        ]);
      }
      const purged = await rind.app.get(TombstonesService).purge();
      expect(purged.tombstones).toBe(1);
      const replaced = await session.pull(`lastPulledAt=${old - age}`);
      expect(replaced.body.experimentalStrategy).toBe('replacement');
      expect(replaced.rows('folders').map(({ id }) => id)).toEqual(['b']);
      const current = await session.pull(`lastPulledAt=${knows - age}`);
      expect(current.body.experimentalStrategy).toBeUndefined();
      expect(current.rows('folders')).toEqual([]);
      expect(await rind.app.get(TombstonesService).purge()).toMatchObject({ tombstones: 0 });
    });

    test('leaves young tombstones and live rows alone', async () => {
      await session.write({ folders: { created: [folder('a'), folder('b')] } });
      const before = session.cursor;
      await session.write({ folders: { deleted: ['a'] } });
      await rind.app.get(TombstonesService).purge();
      const { deleted, body } = await session.pull(`lastPulledAt=${before}`);
      expect([deleted('folders'), body.experimentalStrategy]).toEqual([['a'], undefined]);
    });
  });

  test('GET /sync/schema tells clients what their schema is made from', async () => {
    const { body } = await rind.request<{ version: number; tables: Array<{ name: string }> }>(
      'GET',
      '/sync/schema',
      {
        token: session.account.accessToken,
      },
    );
    expect(body.version).toBe(1);
    expect(body.tables.map(({ name }) => name)).toEqual([
      'projects',
      'tasks',
      'notifications',
      'folders',
      'pictures',
      'messages',
      'orders',
    ]);
    expect(body.tables.at(-1)).toEqual({
      name: 'orders',
      since: 1,
      conflictPolicy: 'merge',
      clientMay: { create: true, delete: true },
      columns: expect.arrayContaining([
        {
          name: 'kind',
          type: 'string',
          isOptional: false,
          isIndexed: false,
          maxLength: null,
          writer: 'create',
          references: null,
          since: 1,
        },
      ]),
    });
  });
});
