import type { NotificationPage } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { NotificationsService } from '../../src/notifications/notifications.service.js';
import { Database } from '../../src/platform/database/database.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { type Account, TestApp } from '../support/test-app.js';

describe('the feed on open sockets', () => {
  let rind: TestApp;
  const clients: RealtimeClient[] = [];

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  afterAll(() => rind.stop());

  async function connect({ accessToken }: Account): Promise<RealtimeClient> {
    const client = await RealtimeClient.connect(rind.url, accessToken);
    clients.push(client);
    return client;
  }

  const notify = ({ id }: Account) =>
    rind.app.get(NotificationsService).notify(id, { type: 'password_changed', data: {} });

  const list = async ({ accessToken: token }: Account) =>
    (await rind.request<NotificationPage>('GET', '/notifications', { token })).body.items;

  test('brings what comes, as REST shows it, to its user alone', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    const stranger = await connect(await rind.signUp());
    await notify(account);
    const [created] = await client.receive('notification:created');
    const [newest] = await list(account);
    expect(created).toEqual({ notification: newest });
    await client.receive('sync:changed');
    expect(await stranger.settle()).toEqual([]);
  });

  test('brings nothing of what was rolled back', async () => {
    const account = await rind.signUp();
    const client = await connect(account);
    const work = rind.app.get(Database).transaction(async () => {
      await notify(account);
      expect(await client.settle()).toEqual([]);
      throw new Error('rolled back');
    });
    await expect(work).rejects.toThrow('rolled back');
    expect(await client.settle()).toEqual([]);
  });

  test('tells what is read and deleted', async () => {
    const account = await rind.signUp();
    await notify(account);
    const id = (await list(account))[0]!.id;
    const client = await connect(account);
    const { accessToken: token } = account;
    await rind.request('POST', `/notifications/${id}/read`, { token });
    await rind.request('DELETE', `/notifications/${id}`, { token });
    expect(await client.receive('notification:updated', 2)).toEqual([
      { change: 'read', ids: [id] },
      { change: 'deleted', ids: [id] },
    ]);
  });

  test('tells of many in several events', async () => {
    const account = await rind.signUp();
    await rind.sql.query('DELETE FROM notifications WHERE user_id = $1', [account.id]);
    await rind.app.get(Database).transaction(async () => {
      for (let count = 0; count < 150; count += 1) await notify(account);
    });
    const client = await connect(account);
    await rind.request('POST', '/notifications/read-all', { token: account.accessToken });
    const events = await client.receive('notification:updated', 2);
    expect(events.map(({ ids }) => ids.length)).toEqual([100, 50]);
    expect(new Set(events.flatMap(({ ids }) => ids)).size).toBe(150);
  });
});
