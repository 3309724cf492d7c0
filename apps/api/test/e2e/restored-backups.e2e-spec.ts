import { randomUUID } from 'node:crypto';
import type { AuthResult, PullResult } from '@rind/contracts';
import { SyncError, type Tokens } from '@rind/sdk/watermelon';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SyncService } from '../../src/sync/sync.service.js';
import { clientComplaints, Device, SyncRequestError } from '../support/device.js';
import {
  promotedStandby,
  replacedDatabase,
  replacedFiles,
  replacedRows,
  replacedTables,
  restoredFile,
  type Restorable,
} from '../support/put-back.js';
import { SyncedDevice } from '../support/synced-device.js';
import type { Account, TestApp } from '../support/test-app.js';

/** A phone of either kind, for what restores are about. */
interface Phone {
  readonly device: Device;
  /** Until the server does not ask to come later. */
  sync(): Promise<void>;
  /** Refreshes the tokens. */
  renew(): Promise<void>;
}

let backups: Restorable;
let rind: TestApp;
let names = 0;
const synced: SyncedDevice[] = [];

const title = async (phone: Phone, id: string) => (await phone.device.row('tasks', id))?.['title'];
const idsOn = async ({ device }: Phone) => (await device.dump())['tasks']!.map(({ id }) => id);

async function signIn({ user, password }: Account): Promise<Tokens> {
  const { data } = await rind.api.login({
    body: { email: user.email, password, device: { id: randomUUID() } },
    throwOnError: true,
  });
  return data as AuthResult & Tokens;
}

/** As the library's documentation has it, with tokens that the app renews. */
function stockPhone(tokens: Tokens): Phone & { signIn(tokens: Tokens): void } {
  let current = tokens;
  names += 1;
  const device = new Device({
    name: `stock-${names}`,
    baseUrl: rind.url,
    accessToken: () => current.accessToken,
  });
  return {
    device,
    signIn: (others) => {
      current = others;
    },
    sync: () => untilServed(() => device.syncWithRetry()),
    renew: async () => {
      await untilServed(async () => {
        const { refreshToken } = current;
        const { status, headers, body } = await rind.request<Tokens>('POST', '/auth/refresh', {
          body: { refreshToken },
        });
        if (status !== 200) throw new SyncRequestError('POST /auth/refresh', status, body, headers);
        current = body;
      });
    },
  };
}

function syncedPhone(tokens: Tokens): Phone {
  const phone = new SyncedDevice(rind.url, tokens);
  synced.push(phone);
  return {
    device: phone.device,
    sync: () =>
      untilServed(() => {
        phone.clock.advance(600_000);
        return phone.syncNow();
      }),
    renew: () => untilServed(() => phone.sync.refreshTokens(phone.tokens.stored!)),
  };
}

/** The database is away for a moment, and looked at before anything is synced. */
async function untilServed(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      const mayPass =
        error instanceof SyncError
          ? error.isTransient
          : error instanceof SyncRequestError && error.status === 503;
      if (!mayPass) throw error;
    }
  }
}

async function pull(token: string, cursor = 0): Promise<PullResult> {
  let pulled: PullResult | undefined;
  await untilServed(async () => {
    const answer = await rind.request<PullResult>('GET', `/sync/pull?lastPulledAt=${cursor}`, {
      token,
    });
    if (answer.status !== 200) {
      throw new SyncRequestError('GET /sync/pull', answer.status, answer.body, answer.headers);
    }
    pulled = answer.body;
  });
  return pulled!;
}

const ways = [
  ['a file of db:backup, with db:restore', restoredFile],
  ['the whole database dropped and made anew', replacedDatabase],
  ['tables dropped and made anew under living connections', replacedTables],
  ['a promoted standby', promotedStandby],
  ['rows alone, with db:mark-restored', replacedRows],
  ["the server's files, with db:mark-restored", replacedFiles],
] as const;

describe.each(ways)('a backup that is put back as %s', (_way, start) => {
  beforeAll(async () => {
    backups = await start();
    ({ rind } = backups);
  }, 60_000);
  beforeEach(() => {
    clientComplaints.length = 0;
  });
  afterEach(async () => {
    await Promise.all(synced.splice(0).map(({ sync }) => sync.stop()));
    // Such as of a server that goes back in time.
    expect(clientComplaints).toEqual([]);
  });
  afterAll(() => backups.stop());

  test('loses nothing on any device, and none misses anything later, however often it happens', async () => {
    const ada = await rind.signUp();
    const stale = stockPhone(await signIn(ada));
    const writer = stockPhone(await signIn(ada));
    const reader = syncedPhone(await signIn(ada));
    const all = [stale, writer, reader];
    await stale.device.create('tasks', { title: 'Before', project_id: '' }, 'old');
    await stale.device.create('tasks', { title: 'To delete', project_id: '' }, 'doomed');
    for (const phone of all) await phone.sync();
    await backups.backUp();
    const { timeline: firstTimeline } = await pull(ada.accessToken);
    const timelines = [firstTimeline];

    for (const [round, order] of [
      [1, [stale, writer, reader]],
      [2, [reader, writer, stale]],
    ] as const) {
      const id = (name: string) => `${name}${round}`;
      // The clock of the server that is lost was an hour ahead, and so are the cursors that it gave out.
      if (round === 1) await rind.sql.query('UPDATE sync_clocks SET version = version + 3600000');
      // The lost time: one device pushes, one pulls, the cursor of the third stays before.
      await writer.renew();
      await reader.renew();
      await writer.device.create('tasks', { title: 'Clean', project_id: '' }, id('clean'));
      await writer.device.create('tasks', { title: 'Dirty', project_id: '' }, id('dirty'));
      await writer.device.update('tasks', 'old', { title: `Lost ${round}` });
      if (round === 1) await writer.device.delete('tasks', 'doomed');
      await writer.sync();
      await writer.sync();
      await reader.sync();
      await writer.device.update('tasks', id('dirty'), { title: 'Edited' });
      await stale.device.create('tasks', { title: 'Offline', project_id: '' }, id('offline'));
      const newcomer = stockPhone(await signIn(ada));
      await newcomer.sync();
      await newcomer.device.create('tasks', { title: 'New', project_id: '' }, id('new'));
      const before = await Promise.all([...all, newcomer].map(idsOn));

      await backups.putBack();

      // Writes between the devices' syncs, by the server and by devices.
      const write = (name: string) =>
        rind.app
          .get(SyncService)
          .write(ada.id, { tasks: { created: [{ id: id(name), title: name, project_id: '' }] } });
      await order[0].sync();
      await write('server');
      await order[1].device.create('tasks', { title: 'Later', project_id: '' }, id('later'));
      await order[1].sync();
      await write('last');
      await order[2].sync();
      await order[0].sync();
      // Its session is none of the backup, and what it holds is not lost for that.
      await expect(newcomer.sync()).rejects.toMatchObject({ status: 401 });
      newcomer.signIn(await signIn(ada));
      const everybody = [...all, newcomer];
      for (const phone of [...everybody, ...everybody]) await phone.sync();

      for (const [index, phone] of everybody.entries()) {
        const ids = await idsOn(phone);
        expect(ids).toEqual(expect.arrayContaining(before[index]!));
        expect(ids).toEqual(
          expect.arrayContaining(['server', 'later', 'last', 'dirty', 'offline', 'new'].map(id)),
        );
        expect(await phone.device.hasUnsyncedChanges()).toBe(false);
      }
      // What nobody wrote since the restore is on devices as it was.
      expect(await title(writer, 'old')).toBe(`Lost ${round}`);
      expect(await title(reader, 'old')).toBe(`Lost ${round}`);
      expect(await title(reader, id('dirty'))).toBe('Edited');
      for (const phone of all) await phone.renew();
      timelines.push((await pull(ada.accessToken)).timeline);
    }
    expect(new Set(timelines).size).toBe(3);
  }, 120_000);
});
