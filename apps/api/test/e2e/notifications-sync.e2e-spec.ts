import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SyncService } from '../../src/sync/sync.service.js';
import { clientComplaints, Device } from '../support/device.js';
import { type Account, TestApp } from '../support/test-app.js';

/** The feed on phones: the published WatermelonDB client, and whatever an app may do to its records. */
describe('the feed, synced', () => {
  let rind: TestApp;
  let account: Account;
  let phone: Device;
  let tablet: Device;
  let devices = 0;

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    clientComplaints.length = 0;
    account = await rind.signUp();
    await rind.app.get(SyncService).write(account.id, {
      notifications: { created: [notification('n1', 1000), notification('n2', 2000)] },
    });
    [phone, tablet] = [deviceOf(account), deviceOf(account)];
    await syncUntilEqual();
  });

  const notification = (id: string, createdAt: number) => ({
    id,
    type: 'welcome',
    title: `Title ${id}`,
    body: 'Body',
    data: '{}',
    read_at: null,
    created_at: createdAt,
  });

  function deviceOf({ accessToken }: Account): Device {
    devices += 1;
    const name = `feed-device-${devices}`;
    return new Device({ name, baseUrl: rind.url, accessToken: () => accessToken });
  }

  /** The devices hold what the server holds, and have nothing left to push. */
  async function syncUntilEqual(): Promise<void> {
    for (const device of [phone, tablet, phone, tablet]) await device.syncWithRetry();
    const { rows } = await rind.sql.query(
      `SELECT id, type, title, body, data, read_at, created_at FROM notifications
       WHERE user_id = $1 AND NOT is_deleted`,
      [account.id],
    );
    for (const device of [phone, tablet]) {
      const { notifications } = await device.dump();
      expect(new Set(notifications)).toEqual(new Set(rows));
      expect(await device.hasUnsyncedChanges()).toBe(false);
    }
    expect(clientComplaints).toEqual([]);
  }

  test('is read on one device and shown as read on the other', async () => {
    await phone.update('notifications', 'n1', { read_at: 5000 });
    await syncUntilEqual();
    expect(await tablet.row('notifications', 'n1')).toMatchObject({ read_at: 5000 });
  });

  test('loses on every device what was deleted on one', async () => {
    await phone.delete('notifications', 'n1');
    await syncUntilEqual();
    expect(await tablet.row('notifications', 'n1')).toBeUndefined();
  });

  test('two devices that read and delete at once end up equal', async () => {
    await phone.update('notifications', 'n1', { read_at: 5000 });
    await tablet.delete('notifications', 'n1');
    await phone.update('notifications', 'n2', { read_at: 6000 });
    await tablet.update('notifications', 'n2', { read_at: 7000 });
    await syncUntilEqual();
    expect(await phone.row('notifications', 'n1')).toBeUndefined();
    expect(await phone.row('notifications', 'n2')).toMatchObject({ read_at: 7000 });
  });

  test('takes no text of a device, which gets the true one back (rule 31)', async () => {
    const forged = { title: 'You won', body: 'Call us', type: 'prize', data: '[]', created_at: 1 };
    await phone.update('notifications', 'n1', forged);
    await phone.update('notifications', 'n2', { title: 'Edited', read_at: 5000 });
    await syncUntilEqual();
    expect(await phone.row('notifications', 'n1')).toMatchObject(notification('n1', 1000));
    expect(await tablet.row('notifications', 'n2')).toMatchObject({
      title: 'Title n2',
      read_at: 5000,
    });
  });

  test('takes no record of a device, which loses it, and is not stuck (rule 31)', async () => {
    await phone.create('notifications', { type: 'welcome', title: 'Forged' }, 'forged');
    const project = await phone.create('projects', { name: 'In the same push' });
    await syncUntilEqual();
    expect(await phone.row('notifications', 'forged')).toBeUndefined();
    expect(await tablet.row('projects', project)).toBeDefined();
  });
});
