import { setImmediate } from 'node:timers/promises';
import { format, promisify } from 'node:util';
import type { AppSchema } from '@nozbe/watermelondb/Schema/index.js';
import { Database, Model } from '@nozbe/watermelondb';
import lokiAdapter from '@nozbe/watermelondb/adapters/lokijs/index.js';
import type { SyncLog, SyncPullArgs } from '@nozbe/watermelondb/sync/index.js';
import { hasUnsyncedChanges, synchronize } from '@nozbe/watermelondb/sync/index.js';
import logger from '@nozbe/watermelondb/utils/common/logger/index.js';
import { type AppRelease, firstRelease } from './device-schema.js';

// In CommonJS with `exports.default`, the default that Node imports is the whole exports object.
const LokiJSAdapter = lokiAdapter.default;
type LokiJSAdapter = InstanceType<typeof LokiJSAdapter>;

export type Value = string | number | boolean | null;
export type Fields = Record<string, Value>;
/** A record as the app sees it: every column of the client schema, without sync bookkeeping. */
export type Row = { id: string } & Fields;
/** A record with WatermelonDB's bookkeeping. */
export type RawRow = Row & { _status: 'synced' | 'created' | 'updated'; _changed: string };

export type Changes = Record<string, { created: RawRow[]; updated: RawRow[]; deleted: string[] }>;

export interface PullAnswer {
  changes: Changes;
  timestamp: number;
}

export interface Push {
  changes: Changes;
  lastPulledAt: number;
}

export interface PushAnswer {
  timestamp?: number;
  warnings?: unknown[];
  experimentalRejectedIds?: Record<string, string[]>;
}

/** Seams of one sync, in the order in which they run. Each is awaited before the sync goes on. */
export interface SyncHooks {
  /** The pull is answered, nothing of it applied yet. */
  onPulled?: (answer: PullAnswer) => Promise<unknown>;
  /** The pull is applied and the changes to push are collected: a local edit now misses this push. */
  onPushing?: (push: Push) => Promise<unknown>;
  /** The push is answered, the pushed records are not marked as synced yet. */
  onPushed?: (answer: PushAnswer) => Promise<unknown>;
}

/** The library's own log, and the server's answers. */
export interface DeviceSyncLog extends SyncLog {
  pullAnswer?: PullAnswer;
  /** Absent when there was nothing to push. */
  pushAnswer?: PushAnswer;
}

export interface DeviceOptions {
  name: string;
  /** Origin of the API, e.g. `http://127.0.0.1:3000`. */
  baseUrl: string;
  accessToken: () => string | Promise<string>;
  /** The device's own clock in ms, for `created_at` and `updated_at`; devices may have wrong ones. */
  now?: () => number;
  release?: AppRelease;
}

/** An answer outside 2xx. */
export class SyncRequestError extends Error {
  override name = 'SyncRequestError';

  constructor(
    request: string,
    readonly status: number,
    /** The problem document, or the text where the answer was not JSON. */
    readonly problem: unknown,
    readonly headers: Headers,
  ) {
    super(`${request} was answered ${status}: ${format(problem)}`);
  }
}

/**
 * Everything the library complained about in this test file, such as a server that goes back in time
 * or creates what exists. Shared by all devices: its logger is one for the process.
 */
export const clientComplaints: string[] = [];
const complain = (...message: unknown[]): void => {
  clientComplaints.push(format(...message));
};
Object.assign(logger.default, {
  debug: () => undefined,
  log: () => undefined,
  warn: complain,
  error: complain,
});

/**
 * A phone in a test: the published WatermelonDB client with its own database in memory, which syncs over
 * HTTP as the library's documentation tells app developers to.
 */
export class Device {
  readonly name: string;
  baseUrl: string;
  readonly #accessToken: DeviceOptions['accessToken'];
  readonly #now: () => number;
  #adapter: LokiJSAdapter;
  #database: Database;

  constructor(options: DeviceOptions) {
    this.name = options.name;
    this.baseUrl = options.baseUrl;
    this.#accessToken = options.accessToken;
    this.#now = options.now ?? Date.now;
    this.#adapter = new LokiJSAdapter({
      ...(options.release ?? firstRelease),
      dbName: options.name,
      useWebWorker: false,
      // There is no IndexedDB in Node, and so nothing but memory; false is deprecated and logged.
      useIncrementalIndexedDB: true,
      // Its timer would keep Jest open, to save a database that is in memory anyway.
      extraLokiOptions: { autosave: false },
    });
    this.#database = openDatabase(this.#adapter);
  }

  /** The library's own object, for what this class does not offer. Replaced by `install()`. */
  get database(): Database {
    return this.#database;
  }

  /** Adds a record and returns its id; columns that are left out get the client's default. */
  async create(table: string, fields: Fields, id?: string): Promise<string> {
    const [created] = await this.createMany(table, [id === undefined ? fields : { ...fields, id }]);
    return created as string;
  }

  /** Adds records in one local transaction and returns their ids. */
  async createMany(table: string, records: Fields[]): Promise<string[]> {
    const collection = this.#database.get(table);
    const models = records.map(({ id, ...fields }) =>
      collection.prepareCreate((model) => {
        if (typeof id === 'string') model._raw.id = id;
        const now = this.#now();
        setColumns(model, { created_at: now, updated_at: now, ...fields });
      }),
    );
    await this.#edit(() => this.#database.batch(models));
    return models.map((model) => model.id);
  }

  /** Rejects when there is no such record. */
  async update(table: string, id: string, fields: Fields): Promise<void> {
    await this.#edit(async () => {
      const model = await this.#database.get(table).find(id);
      await model.update(() => setColumns(model, { updated_at: this.#now(), ...fields }));
    });
  }

  /** Marks the record as deleted; the next sync pushes that. Rejects when there is no such record. */
  async delete(table: string, id: string): Promise<void> {
    await this.#edit(async () => {
      const model = await this.#database.get(table).find(id);
      await model.markAsDeleted();
    });
  }

  /** One pull and, if anything changed here, one push. Rejects as the library does. */
  async sync(hooks: SyncHooks = {}): Promise<DeviceSyncLog> {
    const log: DeviceSyncLog = {};
    await synchronize({
      database: this.#database,
      log,
      sendCreatedAsUpdated: true,
      migrationsEnabledAtVersion: 1,
      pullChanges: async (args) => {
        const answer = await this.#pull(args);
        log.pullAnswer = answer;
        await hooks.onPulled?.(answer);
        return answer;
      },
      pushChanges: async (push) => {
        await hooks.onPushing?.(push);
        const answer = await this.#push(push);
        log.pushAnswer = answer;
        await hooks.onPushed?.(answer);
        const { experimentalRejectedIds } = answer;
        return experimentalRejectedIds && { experimentalRejectedIds };
      },
    });
    return log;
  }

  /** Once more after a conflict, as the documentation tells apps; the hooks run the first time only. */
  async syncWithRetry(hooks: SyncHooks = {}): Promise<DeviceSyncLog> {
    try {
      return await this.sync(hooks);
    } catch (error) {
      if (!(error instanceof SyncRequestError && error.status === 409)) throw error;
      return await this.sync();
    }
  }

  hasUnsyncedChanges(): Promise<boolean> {
    return hasUnsyncedChanges({ database: this.#database });
  }

  /** One live record with its bookkeeping, or undefined. */
  async row(table: string, id: string): Promise<RawRow | undefined> {
    return (await this.#rows(table)).find((row) => row.id === id);
  }

  /** All live records by table and id: equal on two devices that hold the same data. */
  async dump(): Promise<Record<string, Row[]>> {
    const dump: Record<string, Row[]> = {};
    for (const table of Object.keys(this.#database.schema.tables).sort()) {
      const rows = await this.#rows(table);
      dump[table] = rows
        .map(({ _status, _changed, ...row }) => row)
        .sort((a, b) => (a.id < b.id ? -1 : 1));
    }
    return dump;
  }

  /** The cursor of the next sync; null before the first. */
  async lastPulledAt(): Promise<number | null> {
    const stored = await this.#database.adapter.getLocal('__watermelon_last_pulled_at');
    return stored ? Number(stored) : null;
  }

  /** Starts a newer release of the app on this device's data, as an update from the store does. */
  async install(release: AppRelease): Promise<void> {
    const { loki } = this.#adapter._driver;
    await promisify(loki.saveDatabase.bind(loki))();
    this.#adapter = await this.#adapter.testClone(release);
    this.#database = openDatabase(this.#adapter);
  }

  async #edit(work: () => Promise<void>): Promise<void> {
    // For work that waits in its queue the library arms a timer of 1.5 s, to warn; it would keep Jest open.
    while (this.#database._workQueue._queue.length > 0) await setImmediate();
    await this.#database.write(work);
  }

  async #rows(table: string): Promise<RawRow[]> {
    const models = await this.#database.get(table).query().fetch();
    return models.map((model) => ({ ...model._raw }) as RawRow);
  }

  // The query text is that of the documentation's sample, unchecked: a first sync sends the text `null`.
  async #pull({ lastPulledAt, schemaVersion, migration }: SyncPullArgs): Promise<PullAnswer> {
    const query =
      `lastPulledAt=${lastPulledAt}&schemaVersion=${schemaVersion}` +
      `&migration=${encodeURIComponent(JSON.stringify(migration))}`;
    return (await this.#request('GET', `/api/v1/sync/pull?${query}`)) as PullAnswer;
  }

  async #push({ changes, lastPulledAt }: Push): Promise<PushAnswer> {
    const body = JSON.stringify({ changes, lastPulledAt });
    return (await this.#request('POST', '/api/v1/sync/push', body)) as PushAnswer;
  }

  async #request(method: string, path: string, body?: string): Promise<unknown> {
    const response = await fetch(this.baseUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${await this.#accessToken()}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body }),
    });
    const text = await response.text();
    const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '');
    const answer: unknown = isJson ? JSON.parse(text) : text;
    if (!response.ok) {
      throw new SyncRequestError(`${method} ${path}`, response.status, answer, response.headers);
    }
    return answer;
  }
}

function openDatabase(adapter: LokiJSAdapter): Database {
  return new Database({ adapter, modelClasses: modelClasses(adapter.schema) });
}

function modelClasses(schema: AppSchema): (typeof Model)[] {
  return Object.keys(schema.tables).map(
    (name) =>
      class extends Model {
        static override table = name;
      },
  );
}

/** Dates are set by default, and only where the table has the columns. */
function setColumns(model: Model, fields: Fields): void {
  const { columns } = model.collection.schema;
  for (const [column, value] of Object.entries(fields)) {
    const isDate = column === 'created_at' || column === 'updated_at';
    if (isDate && !columns[column]) continue;
    model._setRaw(column, value);
  }
}
