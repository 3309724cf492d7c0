import type { AuthResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { clientComplaints, Device } from '../support/device.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { hold, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

/** All that a device holds whose user has made nothing: what the server told them. */
const nothing = {
  projects: [],
  tasks: [],
  notifications: [expect.objectContaining({ type: 'welcome' })],
};

/** A device that syncs once for each wake-up, and never otherwise. */
class WokenDevice {
  #wakeUps = 0;

  constructor(
    readonly device: Device,
    readonly socket: RealtimeClient,
  ) {}

  /** Resolves when it has what was written up to this timestamp. */
  async follow(timestamp: number): Promise<void> {
    while (((await this.device.lastPulledAt()) ?? 0) < timestamp) {
      this.#wakeUps += 1;
      await this.socket.receive('sync:changed', this.#wakeUps);
      await this.device.syncWithRetry();
    }
  }
}

/**
 * The main job: the published WatermelonDB client with its own `synchronize()`, over HTTP, against
 * the running API and a real PostgreSQL. Never skipped, nothing replaced.
 */
describe('heartbeat: real devices sync', () => {
  let rind: TestApp;
  let devices = 0;
  const sockets: RealtimeClient[] = [];

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterAll(() => rind.stop());
  beforeEach(() => {
    clientComplaints.length = 0;
  });

  afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));

  function deviceOf(account: Pick<Account, 'accessToken'>): Device {
    devices += 1;
    return new Device({
      name: `device-${devices}`,
      baseUrl: rind.url,
      accessToken: () => account.accessToken,
    });
  }

  /** Signed in for itself: a session is not woken by its own pushes. */
  async function wokenDeviceOf({ user, password }: Account): Promise<WokenDevice> {
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: user.email, password },
    });
    const accessToken = body.accessToken!;
    const socket = await RealtimeClient.connect(rind.url, accessToken);
    sockets.push(socket);
    return new WokenDevice(deviceOf({ accessToken }), socket);
  }

  /** Nobody tells it to sync but the server. */
  async function expectWoken(woken: WokenDevice, synced: Device): Promise<void> {
    await woken.follow((await synced.lastPulledAt())!);
    expect(await woken.device.dump()).toEqual(await synced.dump());
  }

  async function syncUntilEqual(...all: Device[]): Promise<void> {
    // Twice around: the first device learns in the second round what the last one pushed in the first.
    for (const device of [...all, ...all]) await device.syncWithRetry();
    const [first, ...others] = await Promise.all(all.map((device) => device.dump()));
    for (const other of others) expect(other).toEqual(first);
    for (const device of all) expect(await device.hasUnsyncedChanges()).toBe(false);
  }

  test('two devices create, edit and delete offline, and end up identical, as does a third that syncs only when woken; a stranger sees nothing', async () => {
    const ada = await rind.signUp();
    const stranger = await rind.signUp();
    const [phone, tablet, foreign] = [deviceOf(ada), deviceOf(ada), deviceOf(stranger)];
    const woken = await wokenDeviceOf(ada);

    const house = await phone.create('projects', { name: 'House', description: 'with a "garden"' });
    const paint = await phone.create('tasks', { title: 'Paint', project_id: house });
    const sweep = await phone.create('tasks', { title: 'Sweep 🧹', project_id: house });
    const boat = await tablet.create('projects', { name: 'Boat' });
    const sail = await tablet.create('tasks', { title: 'Mend the sail', project_id: boat });
    await syncUntilEqual(phone, tablet);
    expect((await phone.dump())['tasks']).toHaveLength(3);
    await expectWoken(woken, tablet);

    // Offline on both: different columns of one record, an edit, deletes, a parent with its children.
    await phone.update('tasks', paint, { title: 'Paint the door' });
    await tablet.update('tasks', paint, { is_completed: true });
    await tablet.update('projects', house, { description: null });
    await phone.delete('tasks', sweep);
    await tablet.delete('projects', boat);
    const walk = await phone.create('tasks', { title: 'Walk', project_id: '' });
    await syncUntilEqual(phone, tablet);
    await expectWoken(woken, tablet);

    const { projects, tasks } = await tablet.dump();
    expect(projects).toEqual([
      expect.objectContaining({ id: house, name: 'House', description: null }),
    ]);
    expect(tasks).toHaveLength(2);
    expect(tasks).toContainEqual(
      expect.objectContaining({ id: paint, title: 'Paint the door', is_completed: true }),
    );
    expect(tasks).toContainEqual(expect.objectContaining({ id: walk, title: 'Walk' }));
    expect(tasks?.map(({ id }) => id)).not.toContain(sail);

    await foreign.sync();
    expect(await foreign.dump()).toEqual(nothing);
    expect(clientComplaints).toEqual([]);
  });

  test('a stranger who holds the same ids keeps rows of their own (hazard H11)', async () => {
    const [phone, foreign] = [deviceOf(await rind.signUp()), deviceOf(await rind.signUp())];
    await phone.create('projects', { name: 'Mine' }, 'same-id');
    await phone.sync();
    await foreign.create('projects', { name: 'Theirs' }, 'same-id');
    await foreign.sync();
    await foreign.delete('projects', 'same-id');
    await foreign.sync();
    await phone.sync();
    expect(await phone.row('projects', 'same-id')).toMatchObject({ name: 'Mine' });
    expect(await foreign.dump()).toEqual(nothing);
  });

  test('a delete that follows a sync at once survives the next pull (rule 9)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(ada), deviceOf(ada)];
    const id = await phone.create('projects', { name: 'Short-lived' });
    await phone.sync();
    await phone.delete('projects', id);
    await syncUntilEqual(phone, tablet);
    expect(await tablet.dump()).toEqual(nothing);
  });

  test('both devices edit one column: the later push wins, nobody diverges (rules 28 and 29)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(ada), deviceOf(ada)];
    const id = await phone.create('projects', { name: 'First' });
    await syncUntilEqual(phone, tablet);
    await phone.update('projects', id, { name: 'From the phone' });
    await tablet.update('projects', id, { name: 'From the tablet' });
    // The tablet pushes between the phone's pull and push: the phone is refused, and tries again.
    const log = await phone.syncWithRetry({ onPushing: () => tablet.sync() });
    expect(log.pushAnswer).toBeDefined();
    await syncUntilEqual(phone, tablet);
    expect(await phone.row('projects', id)).toMatchObject({ name: 'From the phone' });
  });

  test('an edit loses against a deletion, and nothing returns (rules 26 and 29)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(ada), deviceOf(ada)];
    const id = await phone.create('projects', { name: 'Doomed' });
    await syncUntilEqual(phone, tablet);
    await phone.delete('projects', id);
    await tablet.update('projects', id, { name: 'Edited too late' });
    await phone.sync();
    await syncUntilEqual(tablet, phone);
    expect(await phone.dump()).toEqual(nothing);
  });

  test('devices push at the same time: each row reaches every other device (hazards H1 and H2)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet, watcher] = [deviceOf(ada), deviceOf(ada), deviceOf(ada)];
    const woken = await wokenDeviceOf(ada);
    await Promise.all([phone.sync(), tablet.sync(), watcher.sync()]);
    const batch = (name: string) =>
      Array.from({ length: 20 }, (_, n) => ({ title: `${name}.${n}` }));
    for (let round = 0; round < 15; round += 1) {
      await phone.createMany('tasks', batch(`phone ${round}`));
      await tablet.createMany('tasks', batch(`tablet ${round}`));
      await Promise.all([phone, tablet, watcher].map((device) => device.syncWithRetry()));
    }
    await syncUntilEqual(phone, tablet, watcher);
    expect((await watcher.dump())['tasks']).toHaveLength(15 * 40);
    await expectWoken(woken, watcher);
  });

  test('one push is slow, another overtakes it: a device that pulls in between misses nothing (hazard H1)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet, watcher] = [deviceOf(ada), deviceOf(ada), deviceOf(ada)];
    await Promise.all([phone.sync(), tablet.sync(), watcher.sync()]);
    await phone.create('projects', { name: 'Slow' });
    await tablet.create('projects', { name: 'Fast' });
    const instance = await TestApp.start({ database: rind.database });
    tablet.baseUrl = instance.url;
    const seam = hold(rind.app.get(SyncRepository), 'write', 'before');
    const slow = phone.syncWithRetry();
    await seam.reached;
    const fast = tablet.syncWithRetry();
    try {
      await untilBlocked(rind.sql, fast);
      await watcher.sync();
    } finally {
      seam.release();
    }
    await Promise.all([slow, fast]);
    await syncUntilEqual(phone, tablet, watcher);
    await instance.stop();
    expect((await watcher.dump())['projects']).toHaveLength(2);
  });
});
