import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SyncService } from '../../src/sync/sync.service.js';
import { clientComplaints, Device, type Row } from '../support/device.js';
import { replacedRows, type Restorable } from '../support/put-back.js';
import type { Account } from '../support/test-app.js';

/** Devices and records are chosen by numbers that are taken modulo what there is when the step comes. */
type Step =
  | { do: 'create' | 'sync'; device: number }
  | { do: 'edit' | 'delete'; device: number; record: number }
  | { do: 'write'; record: number }
  | { do: 'backUp' | 'putBack' };

interface History {
  /** How far the clock of the server was ahead that the first restore replaces. */
  minutesAhead: number;
  steps: Step[];
}

const HISTORIES = 12;
const MAX_STEPS = 24;
const DEVICES = 4;
const MAX_ATTEMPTS = 5;

const device = fc.nat(DEVICES - 1);
const record = fc.nat(20);
const chosen = <Name extends Step['do']>(name: Name) => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: chosen('sync'), device }) },
  { weight: 3, arbitrary: fc.record({ do: chosen('create'), device }) },
  { weight: 3, arbitrary: fc.record({ do: chosen('edit'), device, record }) },
  { weight: 1, arbitrary: fc.record({ do: chosen('delete'), device, record }) },
  { weight: 2, arbitrary: fc.record({ do: chosen('write'), record }) },
  { weight: 1, arbitrary: fc.record({ do: chosen('backUp') }) },
  { weight: 2, arbitrary: fc.record({ do: chosen('putBack') }) },
);
const history: fc.Arbitrary<History> = fc.record({
  minutesAhead: fc.integer({ min: 0, max: 14 * 60 }),
  steps: fc.array(step, { minLength: 10, maxLength: MAX_STEPS, size: 'max' }),
});

let backups: Restorable;

beforeAll(async () => {
  backups = await replacedRows();
});
afterAll(() => backups.stop());

/** Plays one history with a new account. */
class Player {
  private readonly devices: Device[];
  private counter = 0;
  private restores = 0;

  constructor(
    private readonly account: Account,
    private readonly minutesAhead: number,
  ) {
    this.devices = Array.from(
      { length: DEVICES },
      (_, index) =>
        new Device({
          name: `${account.id}-${index}`,
          baseUrl: backups.rind.url,
          accessToken: () => account.accessToken,
        }),
    );
  }

  static async play({ minutesAhead, steps }: History): Promise<void> {
    const player = new Player(await backups.rind.signUp(), minutesAhead);
    for (const each of player.devices) await player.sync(each);
    await backups.backUp();
    for (const each of steps) await player.take(each);
    for (const each of [...player.devices, ...player.devices]) await player.sync(each);
    await player.check();
  }

  private async take(each: Step): Promise<void> {
    switch (each.do) {
      case 'create':
        await this.devices[each.device]!.create('tasks', { title: this.text() }, randomUUID());
        return;
      case 'edit': {
        const id = await this.recordOn(this.devices[each.device]!, each.record);
        if (id) await this.devices[each.device]!.update('tasks', id, { title: this.text() });
        return;
      }
      case 'delete': {
        const id = await this.recordOn(this.devices[each.device]!, each.record);
        if (id) await this.devices[each.device]!.delete('tasks', id);
        return;
      }
      case 'sync':
        return this.sync(this.devices[each.device]!);
      case 'write':
        return this.write(each.record);
      case 'backUp':
        return backups.backUp();
      case 'putBack':
        return this.putBack();
    }
  }

  /** A new record, or an update of one that the server has. */
  private async write(number: number): Promise<void> {
    const rows = await this.rowsOfServer();
    const known = number % 2 ? rows[number % rows.length] : undefined;
    const raw = { id: known?.id ?? randomUUID(), title: this.text() };
    await backups.rind.app
      .get(SyncService)
      .write(this.account.id, { tasks: known ? { updated: [raw] } : { created: [raw] } });
  }

  private async putBack(): Promise<void> {
    // What the next pulls take as their cursor is far above the time of this server.
    if (this.restores === 0) {
      await backups.rind.sql.query(
        'UPDATE sync_clocks SET version = version + $1::int8 * 60000 WHERE user_id = $2',
        [this.minutesAhead, this.account.id],
      );
      for (const each of this.devices.slice(2)) await this.sync(each);
    }
    this.restores += 1;
    await backups.putBack();
  }

  /** Until it succeeds. Takes nothing from the device but what the server says was deleted. */
  private async sync(each: Device): Promise<void> {
    const before = await idsOn(each);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await each.syncWithRetry({
          onPulled: async (answer) => expect(answer).not.toHaveProperty('experimentalStrategy'),
        });
        break;
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) throw error;
      }
    }
    expect(await each.hasUnsyncedChanges()).toBe(false);
    const after = new Set(await idsOn(each));
    const gone = before.filter((id) => !after.has(id));
    const { rows } = await backups.rind.sql.query<{ id: string }>(
      'SELECT id FROM tasks WHERE user_id = $1 AND id = ANY ($2) AND is_deleted',
      [this.account.id, gone],
    );
    expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(gone));
  }

  /** Whatever was written since the last restore is on each device as it is on the server. */
  private async check(): Promise<void> {
    const { rows } = await backups.rind.sql.query<Row & { is_deleted: boolean }>(
      `SELECT id, title, is_deleted FROM tasks WHERE user_id = $1 AND version >
         (SELECT coalesce(max(lost_to), 0) FROM sync_lost_intervals WHERE user_id = $1)`,
      [this.account.id],
    );
    for (const each of this.devices) {
      for (const { id, title, is_deleted: isDeleted } of rows) {
        const found = await each.row('tasks', id);
        expect([id, found?.['title']]).toEqual([id, isDeleted ? undefined : title]);
      }
    }
  }

  private async rowsOfServer(): Promise<Row[]> {
    const { rows } = await backups.rind.sql.query<Row>(
      'SELECT id FROM tasks WHERE user_id = $1 AND NOT is_deleted ORDER BY id',
      [this.account.id],
    );
    return rows;
  }

  private async recordOn(each: Device, number: number): Promise<string | undefined> {
    const ids = await idsOn(each);
    return ids[number % ids.length];
  }

  private text(): string {
    this.counter += 1;
    return `Text ${this.counter}`;
  }
}

async function idsOn(each: Device): Promise<string[]> {
  const ids = await each.database.get('tasks').query().fetchIds();
  return ids.toSorted();
}

test('whatever devices and server did before, between and after restores, nobody loses or misses anything', async () => {
  const property = fc.asyncProperty(history, (each) => Player.play(each));
  await fc.assert(property, { numRuns: HISTORIES });
  expect(clientComplaints).toEqual([]);
}, 240_000);
