import { notificationTypes, type PullResult } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { AuditService } from '../../src/audit/audit.service.js';
import {
  type NotificationCreated,
  NotificationEvents,
  type NotificationsUpdated,
} from '../../src/notifications/notification-events.js';
import { NotificationsService } from '../../src/notifications/notifications.service.js';
import { Database } from '../../src/platform/database/database.js';
import { UsersService } from '../../src/users/users.service.js';
import { untilBlocked } from '../support/seams.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

const device = {
  sessionId: '0d8c45c5-4f9c-4fb6-bd5b-1a4c0f2f6a51',
  deviceName: 'Pixel',
  platform: null,
};
const signIn = { type: 'new_sign_in', data: device } as const;

describe('notify', () => {
  let rind: TestApp;
  let database: Database;
  let notifications: NotificationsService;
  let events: NotificationEvents;
  let account: Account;
  const created: NotificationCreated[] = [];
  const updated: NotificationsUpdated[] = [];

  beforeAll(async () => {
    rind = await TestApp.start();
    database = rind.app.get(Database);
    notifications = rind.app.get(NotificationsService);
    events = rind.app.get(NotificationEvents);
    events.on('created', (event) => created.push(event));
    events.on('updated', (event) => updated.push(event));
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    account = await rind.signUp();
    created.length = 0;
    updated.length = 0;
  });

  /** Of the type that these tests notify of. */
  const feedOf = async ({ id }: Account) => {
    const { rows } = await rind.sql.query<{ id: string; title: string; data: string }>(
      `SELECT id, title, data FROM notifications
       WHERE user_id = $1 AND type = 'new_sign_in' AND NOT is_deleted ORDER BY id`,
      [id],
    );
    return rows;
  };

  test('puts a row into the synced feed, and tells of it after the commit', async () => {
    await database.transaction(async () => {
      await notifications.notify(account.id, signIn);
      expect(created).toEqual([]);
    });
    const { body } = await rind.request<PullResult>('GET', '/sync/pull', {
      token: account.accessToken,
    });
    const row = body.changes['notifications']!.updated.find(
      (record) => (record as { type: string }).type === 'new_sign_in',
    ) as Record<string, unknown>;
    expect(row).toMatchObject({ title: 'New sign-in', read_at: null });
    expect(JSON.parse(row['data'] as string)).toEqual(device);
    expect(created).toEqual([
      {
        userId: account.id,
        notification: {
          id: row['id'],
          type: 'new_sign_in',
          title: row['title'],
          body: row['body'],
          data: device,
          readAt: null,
          createdAt: new Date(row['created_at'] as number).toISOString(),
        },
      },
    ]);
    // What is new was not updated.
    expect(updated).toEqual([]);
  });

  test('joins a transaction of Prisma and one of hand-written SQL, and leaves nothing of one that fails', async () => {
    const failing = async () => {
      await notifications.notify(account.id, signIn);
      throw new Error('no');
    };
    await expect(database.transaction(failing)).rejects.toThrow('no');
    await expect(database.sqlTransaction(failing)).rejects.toThrow('no');
    expect([await feedOf(account), created]).toEqual([[], []]);
    await database.sqlTransaction(() => notifications.notify(account.id, signIn));
    expect(await feedOf(account)).toHaveLength(1);
  });

  test('speaks the language of the user', async () => {
    await rind.sql.query(`UPDATE users SET language = 'de' WHERE id = $1`, [account.id]);
    await notifications.notify(account.id, signIn);
    expect(await feedOf(account)).toMatchObject([{ title: 'Neue Anmeldung' }]);
  });

  test('keeps to what the user chose', async () => {
    await rind.sql.query(
      `INSERT INTO notification_preferences (user_id, type, feed) VALUES ($1, 'new_sign_in', false)`,
      [account.id],
    );
    await notifications.notify(account.id, signIn);
    expect([await feedOf(account), created]).toEqual([[], []]);
  });

  test('does nothing for a user who is gone', async () => {
    await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
    await notifications.notify(account.id, signIn);
    expect([await feedOf(account), created]).toEqual([[], []]);
  });

  test('takes neither unknown types nor foreign data', async () => {
    const never = async () => {
      // @ts-expect-error There is no such type.
      await notifications.notify(account.id, { type: 'prize', data: {} });
      // @ts-expect-error Data of another type.
      await notifications.notify(account.id, { type: 'new_sign_in', data: {} });
    };
    await expect(never()).rejects.toThrow();
    const { password_changed: type } = notificationTypes;
    // @ts-expect-error There is no German.
    const texts: typeof type.texts = { en: () => ({ title: '', body: '' }) };
    expect(texts).not.toHaveProperty('de');
    const typed = { ...device, secret: 'x' };
    await expect(notifications.notify(account.id, { ...signIn, data: typed })).rejects.toThrow();
  });

  test('tells of what devices read, unread and delete, and of nothing that was refused', async () => {
    await notifications.notify(account.id, signIn);
    const [{ id } = { id: '' }] = await feedOf(account);
    const session = await SyncSession.open(rind, account);
    const push = (record: object) =>
      session.write({ notifications: { updated: [{ id, ...record }] } });
    await push({ read_at: 5000, _changed: 'read_at' });
    await push({ read_at: null, _changed: 'read_at' });
    await push({ title: 'Forged', _changed: 'title' });
    await session.write({ notifications: { deleted: [id] } });
    const { id: userId } = account;
    expect(updated).toEqual([
      { userId, change: 'read', ids: [id] },
      { userId, change: 'unread', ids: [id] },
      { userId, change: 'deleted', ids: [id] },
    ]);
  });

  test('takes the user before the clock, so that it waits for a deletion and never deadlocks with it', async () => {
    let attempts = 0;
    const [told, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const telling = database.transaction(async () => {
      attempts += 1;
      await notifications.notify(account.id, signIn);
      told.resolve();
      await goOn.promise;
      // Refers to the user's row, as most that is written does.
      await rind.app
        .get(AuditService)
        .record({ action: 'password_changed', userId: account.id }, null);
    });
    await told.promise;
    const deletions = jest.spyOn(rind.app.get(UsersService), 'lockForDeletion');
    const deleting = rind.request('DELETE', '/users/me', {
      token: account.accessToken,
      body: { password: account.password },
    });
    await untilBlocked(rind.sql, deleting);
    goOn.resolve();
    await telling;
    // A transaction that PostgreSQL gave up to resolve a deadlock would have been tried again.
    expect([(await deleting).status, attempts, deletions.mock.calls.length]).toEqual([204, 1, 1]);
  });

  test('of several transactions at once for one user loses none', async () => {
    const telling = Array.from({ length: 20 }, () =>
      database.transaction(() => notifications.notify(account.id, signIn)),
    );
    await Promise.all(telling);
    expect(await feedOf(account)).toHaveLength(20);
  });
});
