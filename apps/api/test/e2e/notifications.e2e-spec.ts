import type {
  Notification,
  NotificationPage,
  NotificationPreferences,
  UnreadCount,
} from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { NotificationsPurge } from '../../src/notifications/notifications-purge.service.js';
import { NotificationsService } from '../../src/notifications/notifications.service.js';
import { type SyncChange, SyncEvents } from '../../src/sync/sync-events.js';
import { SyncService } from '../../src/sync/sync.service.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

const UNKNOWN = '0d8c45c5-4f9c-4fb6-bd5b-1a4c0f2f6a51';

describe('the feed over REST', () => {
  let rind: TestApp;
  let account: Account;

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    account = await rind.signUp();
    await rind.sql.query('DELETE FROM notifications WHERE user_id = $1', [account.id]);
  });

  const call = <Body = { code: string; errors?: Array<{ pointer: string; message: string }> }>(
    method: string,
    path: string,
    { body, by = account }: { body?: unknown; by?: Account } = {},
  ) =>
    rind.request<Body>(method, `/notifications${path}`, {
      token: by.accessToken,
      ...(body !== undefined && { body }),
    });

  const list = async (query = '') => (await call<NotificationPage>('GET', query)).body;
  const unread = async () => (await call<UnreadCount>('GET', '/unread-count')).body.count;

  /** Oldest first. */
  async function told(times: number, by = account): Promise<Notification[]> {
    const service = rind.app.get(NotificationsService);
    for (let time = 0; time < times; time += 1) {
      await service.notify(by.id, { type: 'password_changed', data: {} });
    }
    const { items } = (await call<NotificationPage>('GET', '', { by })).body;
    return items.toReversed();
  }

  /** How often other devices were told to pull while the work was done. */
  async function wakeUpsOf(work: () => Promise<unknown>): Promise<number> {
    let count = 0;
    const listener = ({ userId }: SyncChange) => {
      if (userId === account.id) count += 1;
    };
    const events = rind.app.get(SyncEvents).on('changed', listener);
    await work();
    events.off('changed', listener);
    return count;
  }

  test('pages from the newest to the oldest, each once, whatever is added meanwhile', async () => {
    const all = await told(5);
    const first = await list('?limit=2');
    await told(1);
    const second = await list(`?limit=2&cursor=${first.nextCursor}`);
    const third = await list(`?limit=2&cursor=${second.nextCursor}`);
    const items = [...first.items, ...second.items, ...third.items];
    expect(items).toEqual(all.toReversed());
    expect(third.nextCursor).toBeNull();
  });

  test('filters by what was read, and counts what was not', async () => {
    const [a, b, c] = await told(3);
    await call('POST', `/${b!.id}/read`);
    const ids = async (query: string) => (await list(query)).items.map(({ id }) => id);
    expect(await ids('?unread=true')).toEqual([c!.id, a!.id]);
    expect(await ids('?unread=false')).toEqual([b!.id]);
    expect(await unread()).toBe(2);
  });

  test('marks one as read, once, and devices learn of it by an ordinary pull', async () => {
    const [one] = await told(1);
    const session = await SyncSession.open(rind, account);
    const wakeUps = await wakeUpsOf(async () => {
      expect((await call('POST', `/${one!.id}/read`)).status).toBe(204);
      expect((await call('POST', `/${one!.id}/read`)).status).toBe(204);
    });
    expect(wakeUps).toBe(1);
    const { rows } = await session.pull();
    expect(rows('notifications')).toMatchObject([{ id: one!.id, read_at: expect.any(Number) }]);
  });

  test('shows what a device has read, whatever time its clock says', async () => {
    const [one] = await told(1);
    const session = await SyncSession.open(rind, account);
    for (const [read_at, shown] of [
      [5000, '1970-01-01T00:00:05.000Z'],
      [-5, '1970-01-01T00:00:00.000Z'],
      [1e300, '9999-12-31T00:00:00.000Z'],
    ] as const) {
      await session.write({
        notifications: { updated: [{ id: one!.id, read_at, _changed: 'read_at' }] },
      });
      expect((await list()).items).toMatchObject([{ readAt: shown }]);
    }
  });

  test('marks thousands as read in few writes, and none that comes later', async () => {
    const created = Array.from({ length: 1200 }, (_, index) => ({
      id: `01900000-0000-7000-8000-${String(index).padStart(12, '0')}`,
      type: 'welcome',
      title: 'T',
      body: 'B',
      data: '{}',
      read_at: null,
      created_at: Date.now() - 1000,
    }));
    await rind.app.get(SyncService).write(account.id, { notifications: { created } });
    const wakeUps = await wakeUpsOf(() => call('POST', '/read-all'));
    expect([wakeUps, await unread()]).toEqual([3, 0]);
    await told(1);
    expect(await unread()).toBe(1);
    expect(await wakeUpsOf(() => call('POST', '/read-all'))).toBe(1);
    expect(await wakeUpsOf(() => call('POST', '/read-all'))).toBe(0);
  });

  test('deletes one, as often as asked, and devices lose it', async () => {
    const [one, other] = await told(2);
    const session = await SyncSession.open(rind, account);
    expect((await call('DELETE', `/${one!.id}`)).status).toBe(204);
    expect((await call('DELETE', `/${one!.id}`)).status).toBe(204);
    expect((await call('POST', `/${one!.id}/read`)).status).toBe(404);
    expect((await list()).items.map(({ id }) => id)).toEqual([other!.id]);
    expect((await session.pull()).deleted('notifications')).toEqual([one!.id]);
  });

  test('loses what is older than NOTIFICATIONS_RETENTION_DAYS, on devices too, and keeps the rest', async () => {
    const [old, young] = await told(2);
    const others = await told(1, await rind.signUp());
    const days = (count: number) => Date.now() - count * 86_400_000;
    const age = (id: string, createdAt: number) =>
      rind.sql.query('UPDATE notifications SET created_at = $2 WHERE id = $1', [id, createdAt]);
    await age(old!.id, days(91));
    await age(young!.id, days(89));
    const session = await SyncSession.open(rind, account);
    const wakeUps = await wakeUpsOf(async () => {
      expect(await rind.app.get(NotificationsPurge).purge()).toBe(1);
      expect(await rind.app.get(NotificationsPurge).purge()).toBe(0);
    });
    expect([wakeUps, (await session.pull()).deleted('notifications')]).toEqual([1, [old!.id]]);
    expect((await list()).items.map(({ id }) => id)).toEqual([young!.id]);
    const { rows } = await rind.sql.query(
      'SELECT is_deleted FROM notifications WHERE id = ANY ($1)',
      [others.map(({ id }) => id)],
    );
    expect(rows.every(({ is_deleted: isDeleted }) => !isDeleted)).toBe(true);
  });

  test('knows nothing of what somebody else was told', async () => {
    const stranger = await rind.signUp();
    const [theirs] = (await told(1, stranger)).filter(({ type }) => type === 'password_changed');
    for (const id of [theirs!.id, UNKNOWN]) {
      expect((await call('POST', `/${id}/read`)).body.code).toBe('not_found');
      expect((await call('DELETE', `/${id}`)).body.code).toBe('not_found');
    }
    await call('POST', '/read-all');
    expect((await list()).items).toEqual([]);
    const after = await call<NotificationPage>('GET', '', { by: stranger });
    expect(after.body.items).toContainEqual(theirs);
  });

  test.each([
    ['GET', '?cursor=x'],
    ['GET', '?limit=0'],
    ['GET', '?limit=101'],
    ['GET', '?unread=maybe'],
    ['GET', '?unread=true&unread=false'],
    ['POST', '/x/read'],
    ['DELETE', `/${'0'.repeat(500)}`],
    ['DELETE', '/%00'],
  ])('refuses %s %s', async (method, path) => {
    const { status } = await call(method, path);
    expect([400, 404, 422]).toContain(status);
  });

  test('many requests at once for one notification agree', async () => {
    const [one] = await told(1);
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => call('POST', `/${one!.id}/read`)),
      ...Array.from({ length: 5 }, () => call('POST', '/read-all')),
      ...Array.from({ length: 5 }, () => call('DELETE', `/${one!.id}`)),
    ]);
    for (const { status } of answers) expect([204, 404]).toContain(status);
    expect((await list()).items).toEqual([]);
  });

  describe('preferences', () => {
    const get = async () =>
      (await call<NotificationPreferences>('GET', '/preferences')).body.preferences;
    const patch = (preferences: unknown) =>
      call('PATCH', '/preferences', { body: { preferences } });

    test('begin with what each type says', async () => {
      expect(await get()).toEqual({
        welcome: { feed: true, mail: false },
        new_sign_in: { feed: true, mail: true },
        password_changed: { feed: true, mail: true },
        session_ended_by_reuse: { feed: true, mail: true },
        session_ended_by_limit: { feed: true, mail: false },
      });
    });

    test('change in part, and the rest stays; the feed keeps to them', async () => {
      await patch({ password_changed: { feed: false } });
      await patch({ welcome: { mail: true }, session_ended_by_limit: { feed: false, mail: true } });
      expect(await get()).toMatchObject({
        welcome: { feed: true, mail: true },
        password_changed: { feed: false, mail: true },
        session_ended_by_limit: { feed: false, mail: true },
      });
      expect(await told(2)).toEqual([]);
    });

    test('keep mails about security: switching them off is refused, and so is the rest of the request', async () => {
      const before = await get();
      const { status, body } = await patch({
        welcome: { mail: true },
        new_sign_in: { feed: false, mail: false },
      });
      expect([status, body.code]).toEqual([422, 'validation_failed']);
      expect(body.errors).toMatchObject([
        {
          pointer: '/preferences/new_sign_in/mail',
          message: 'Mails about the security of the account cannot be switched off',
        },
      ]);
      expect(await get()).toEqual(before);
      expect((await patch({ new_sign_in: { mail: true } })).status).toBe(200);
    });

    test.each([
      [undefined],
      [null],
      ['mail'],
      [[]],
      [{ prize: { mail: true } }],
      [{ welcome: { sms: true } }],
      [{ welcome: { feed: 1 } }],
      [{ welcome: { feed: null } }],
      [{ welcome: true }],
      [Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`type${n}`, {}]))],
    ])('refuse %j', async (preferences) => {
      expect((await patch(preferences)).status).toBe(422);
    });

    test('set at once by two devices are both kept', async () => {
      await Promise.all([
        ...Array.from({ length: 5 }, () =>
          patch({ welcome: { feed: false }, new_sign_in: { feed: false } }),
        ),
        ...Array.from({ length: 5 }, () =>
          patch({ new_sign_in: { mail: true }, welcome: { mail: true } }),
        ),
      ]);
      expect(await get()).toMatchObject({
        welcome: { feed: false, mail: true },
        new_sign_in: { feed: false, mail: true },
      });
    });
  });
});
