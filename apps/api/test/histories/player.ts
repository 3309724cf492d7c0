import { Device, type Fields, type Row, SyncRequestError } from '../support/device.js';
import type { Account } from '../support/test-app.js';
import type { Fault, History, Step, Table } from './commands.js';
import { AccountModel } from './model.js';
import { setDatabaseClock } from './database-clock.js';
import { MAX_DEVICES, type World } from './world.js';

const tables: readonly Table[] = ['projects', 'tasks'];
const editable = {
  projects: ['name', 'description'],
  tasks: ['title', 'description', 'is_completed'],
} as const;

const MAX_ATTEMPTS = 20;

/** What happened in all histories of a run, to see that they are worth something. */
export interface Tally {
  histories: number;
  steps: number;
  syncs: number;
  pushes: number;
  conflicts: number;
  failures: number;
  restarts: number;
  crashes: number;
}

export const emptyTally = (): Tally => ({
  histories: 0,
  steps: 0,
  syncs: 0,
  pushes: 0,
  conflicts: 0,
  failures: 0,
  restarts: 0,
  crashes: 0,
});

interface Replica {
  device: Device;
  /** Its place among the proxies. */
  slot: number;
  owner: Owner;
}

class Owner {
  readonly model = new AccountModel();
  /** Every id that this account ever created. */
  readonly ids: Record<Table, Set<string>> = { projects: new Set(), tasks: new Set() };

  constructor(
    readonly name: string,
    readonly account: Account,
  ) {}
}

/** Plays one history with two new accounts and checks what is left in the end. */
export class Player {
  private readonly owners: Owner[] = [];
  private readonly replicas: Replica[] = [];
  /** Ids by table in order of creation, of both accounts: one may choose an id that the other one has. */
  private readonly ids: Record<Table, string[]> = { projects: [], tasks: [] };
  private counter = 0;
  private hadOutage = false;

  private constructor(
    private readonly world: World,
    private readonly tally: Tally,
  ) {}

  /** @throws Error that says what is wrong in the end, or which step failed as it must not */
  static async play(world: World, history: History, tally: Tally): Promise<void> {
    const player = new Player(world, tally);
    try {
      await player.prepare(history.devices);
      for (const step of history.steps) await player.take(step);
      await player.settle();
      await player.check();
      tally.histories += 1;
    } finally {
      for (const { account } of player.owners) world.watch(account.id, null);
    }
  }

  private async prepare(devices: number): Promise<void> {
    await setDatabaseClock(this.world.deployment.sql, 0);
    for (const name of ['ada', 'bob']) {
      const owner = new Owner(name, await this.world.deployment.signUp());
      this.owners.push(owner);
      this.world.watch(owner.account.id, (push) => {
        this.tally.pushes += 1;
        owner.model.observe(push);
      });
    }
    const [ada, bob] = this.owners as [Owner, Owner];
    for (let slot = 0; slot < devices; slot += 1) this.replicas.push(this.replica(slot, ada));
    this.replicas.push(this.replica(MAX_DEVICES - 1, bob));
  }

  private replica(slot: number, owner: Owner): Replica {
    // Each device has a wrong clock of its own, and no two edits the same time.
    const skewMs = (slot - 2) * 3_600_000;
    const device = new Device({
      name: `${owner.account.id}-${slot}`,
      baseUrl: this.world.proxyOf(slot, 0).url,
      accessToken: () => owner.account.accessToken,
      now: () => 1_800_000_000_000 + skewMs + this.next(),
    });
    return { device, slot, owner };
  }

  private next(): number {
    this.counter += 1;
    return this.counter;
  }

  private async take(step: Step): Promise<void> {
    this.tally.steps += 1;
    switch (step.do) {
      case 'create':
        return this.create(step);
      case 'edit':
        await this.edit(this.replicaAt(step.device), step);
        return;
      case 'move':
        return this.move(step);
      case 'delete':
        return this.delete(step);
      case 'sync':
        return this.sync(this.replicaAt(step.device), step);
      case 'editWhilePushing': {
        const replica = this.replicaAt(step.device);
        const edit = () => this.edit(replica, { table: 'tasks', record: step.record, column: 0 });
        return this.sync(replica, { instance: step.instance }, { onPushed: edit });
      }
      case 'syncOvertaken':
        return this.syncOvertaken(step);
      case 'syncTogether':
        return this.syncTogether(step);
      case 'setDatabaseClock':
        return setDatabaseClock(this.world.deployment.sql, step.minutes);
    }
  }

  private async create(step: Step & { do: 'create' }): Promise<void> {
    const { device, owner } = this.replicaAt(step.device);
    const { table } = step;
    const id = this.newId(owner, step);
    const text = this.text(owner);
    const fields: Fields =
      table === 'projects'
        ? { name: text }
        : { title: text, project_id: pick(await idsOn(device, 'projects'), step.parent) ?? '' };
    owner.ids[table].add(id);
    await device.create(table, fields, id);
  }

  /** An id that this account never had: no history creates a deleted record again. */
  private newId(owner: Owner, { table, sameId, parent }: Step & { do: 'create' }): string {
    const foreign = this.ids[table].filter((id) => !owner.ids[table].has(id));
    const same = sameId ? pick(foreign, parent) : undefined;
    if (same !== undefined) return same;
    const id = `${table.slice(0, 1)}${this.next()}`;
    this.ids[table].push(id);
    return id;
  }

  private async edit(
    replica: Replica,
    { table, record, column }: { table: Table; record: number; column: number },
  ): Promise<string | undefined> {
    const id = pick(await idsOn(replica.device, table), record);
    if (id !== undefined) await this.editColumn(replica, { table, id, column });
    return id;
  }

  private async editColumn(
    { device, owner }: Replica,
    { table, id, column }: { table: Table; id: string; column: number },
  ): Promise<void> {
    const name = pick(editable[table], column)!;
    const row = await device.row(table, id);
    const value = name === 'is_completed' ? !row?.[name] : this.text(owner);
    await device.update(table, id, { [name]: value });
  }

  private async move(step: Step & { do: 'move' }): Promise<void> {
    const { device } = this.replicaAt(step.device);
    const id = pick(await idsOn(device, 'tasks'), step.record);
    if (id === undefined) return;
    const parent = pick(await idsOn(device, 'projects'), step.parent) ?? '';
    await device.update('tasks', id, { project_id: parent });
  }

  private async delete(step: Step & { do: 'delete' }): Promise<void> {
    const { device } = this.replicaAt(step.device);
    const id = pick(await idsOn(device, step.table), step.record);
    if (id !== undefined) await device.delete(step.table, id);
  }

  private text(owner: Owner): string {
    return `${owner.name} ${this.next()}`;
  }

  private async syncOvertaken(step: Step & { do: 'syncOvertaken' }): Promise<void> {
    const [replica, other] = [this.replicaAt(step.device), this.replicaAt(step.by)];
    const id = await this.edit(replica, { ...step, table: 'tasks' });
    if (other === replica) return this.sync(replica, step);
    if (id !== undefined && (await idsOn(other.device, 'tasks')).includes(id)) {
      await this.editColumn(other, { table: 'tasks', id, column: step.column + 1 });
    }
    return this.sync(replica, step, {
      onPushing: () => this.sync(other, { instance: 1 - step.instance }),
    });
  }

  private async syncTogether({ first, outage }: Step & { do: 'syncTogether' }): Promise<void> {
    if (outage !== null) {
      this.hadOutage = true;
      this.world.armOutage(outage);
    }
    await Promise.all(
      this.replicas.map((replica, index) => this.sync(replica, { instance: (first + index) % 2 })),
    );
    if (await this.world.endOutage()) {
      this.tally[outage?.how === 'crash' ? 'crashes' : 'restarts'] += 1;
    }
  }

  /** One sync, which may fail as far as its fault, a conflict or an outage explains it. */
  private async sync(
    { device, slot, owner }: Replica,
    { instance, fault = 'none' }: { instance: number; fault?: Fault },
    hooks: { onPushing?: () => Promise<void>; onPushed?: () => Promise<unknown> } = {},
  ): Promise<void> {
    const proxy = this.world.proxyOf(slot, instance);
    device.baseUrl = proxy.url;
    arm(proxy, fault);
    this.tally.syncs += 1;
    try {
      await device.sync({
        ...hooks,
        onPulled: async ({ changes }) => this.inspect(owner, changes),
      });
    } catch (error) {
      if (error instanceof SyncRequestError && error.status === 409) this.tally.conflicts += 1;
      else if (this.isExplained(error, fault)) this.tally.failures += 1;
      else throw error;
    } finally {
      proxy.disarm();
    }
  }

  private isExplained(error: unknown, fault: Fault): boolean {
    if (error instanceof SyncRequestError) return this.hadOutage && error.status >= 500;
    // A broken connection, or half of an answer that is no JSON. By name: `fetch` throws errors of the
    // realm outside of Jest's.
    const { name } = error as Error;
    return fault !== 'none' && (name === 'TypeError' || name === 'SyntaxError');
  }

  /** A pull names no id that its account never had. */
  private inspect(
    owner: Owner,
    changes: Record<string, { created: Row[]; updated: Row[]; deleted: string[] }>,
  ): void {
    for (const table of tables) {
      const { created, updated, deleted } = changes[table]!;
      if (created.length > 0) throw new Error(`${owner.name} pulled records as created`);
      for (const id of [...updated.map((row) => row.id), ...deleted]) {
        if (!owner.ids[table].has(id))
          throw new Error(`${owner.name} pulled the foreign ${table} ${id}`);
      }
    }
  }

  /** Twice around: the first device learns in the second round what the last one pushed in the first. */
  private async settle(): Promise<void> {
    for (const replica of [...this.replicas, ...this.replicas]) {
      await this.syncForSure(replica);
    }
  }

  private async syncForSure({ device, slot, owner }: Replica): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      device.baseUrl = this.world.proxyOf(slot, attempt % 2).url;
      try {
        await device.sync({ onPulled: async ({ changes }) => this.inspect(owner, changes) });
        return;
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !this.isExplained(error, 'none')) throw error;
      }
    }
  }

  private async check(): Promise<void> {
    for (const owner of this.owners) {
      const rows = await this.rowsOf(owner);
      const problems = owner.model.check(rows);
      const expected = JSON.stringify(rows);
      for (const { device } of this.replicas.filter((replica) => replica.owner === owner)) {
        const dump = JSON.stringify(sortColumns(await device.dump()));
        if (dump !== expected) {
          problems.push(`${device.name} and the server differ:\n  ${dump}\n  ${expected}`);
        }
        if (await device.hasUnsyncedChanges()) problems.push(`${device.name} has unsynced changes`);
      }
      if (problems.length > 0) throw new Error(`${owner.name}:\n${problems.join('\n')}`);
    }
  }

  /** The live rows, from the tables themselves; also of the feed, which the server writes. */
  private async rowsOf({ account }: Owner): Promise<Record<Table | 'notifications', Row[]>> {
    const select = async (table: string) => {
      const { rows } = await this.world.deployment.sql.query<Row>(
        `SELECT * FROM ${table} WHERE user_id = $1 AND NOT is_deleted ORDER BY id COLLATE "C"`,
        [account.id],
      );
      return rows.map(({ user_id: _user, version: _version, is_deleted: _deleted, ...row }) => row);
    };
    return sortColumns({
      notifications: await select('notifications'),
      projects: await select('projects'),
      tasks: await select('tasks'),
    });
  }

  private replicaAt(index: number): Replica {
    return pick(this.replicas, index)!;
  }
}

function arm(proxy: ReturnType<World['proxyOf']>, fault: Fault): void {
  switch (fault) {
    case 'none':
      return;
    case 'loseAnswerOfPush':
      proxy.loseAnswer('/sync/push');
      return;
    case 'cutAnswerOfPush':
      proxy.cutAnswer('/sync/push');
      return;
    case 'killPush':
      proxy.killRequest('/sync/push');
      return;
    case 'duplicatePush':
      proxy.duplicate('/sync/push');
      return;
    case 'duplicatePushAtOnce':
      proxy.duplicate('/sync/push', { atOnce: true });
      return;
    case 'loseAnswerOfPull':
      proxy.loseAnswer('/sync/pull');
      return;
    case 'cutAnswerOfPull':
      proxy.cutAnswer('/sync/pull');
      return;
    case 'killPull':
      proxy.killRequest('/sync/pull');
      return;
  }
}

function pick<Item>(items: readonly Item[], number: number): Item | undefined {
  return items[number % items.length];
}

/** In the order of their creation, whatever the order in the device's database. */
async function idsOn(device: Device, table: Table): Promise<string[]> {
  const ids = await device.database.get(table).query().fetchIds();
  return ids.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
}

/** For comparisons as text. */
function sortColumns<Dump extends Record<string, Row[]>>(dump: Dump): Dump {
  return Object.fromEntries(
    Object.entries(dump).map(([table, rows]) => [
      table,
      rows.map((row) =>
        Object.fromEntries(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      ),
    ]),
  ) as Dump;
}
