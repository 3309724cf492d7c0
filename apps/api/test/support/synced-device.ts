import {
  createSync,
  type Sync,
  type SyncResult,
  type SyncState,
  type SyncStatus,
  type Tokens,
  type TokenStorage,
} from '@rind/sdk/watermelon';
import { Device } from './device.js';
import type { AppRelease } from './device-schema.js';
import { ManualClock } from './manual-clock.js';

/** A keychain in memory. */
export class MemoryTokens implements TokenStorage {
  constructor(public stored: Tokens | null) {}

  load(): Promise<Tokens | null> {
    return Promise.resolve(this.stored);
  }

  async save(tokens: Tokens): Promise<void> {
    this.stored = tokens;
  }
}

/** Runs around the requests of one device, given `GET /sync/pull` and the like. */
export type Fetch = (
  request: string,
  send: () => Promise<Response>,
) => Response | Promise<Response>;

interface SyncedDeviceOptions {
  release?: AppRelease;
  /** Listens for wake-ups. */
  realtime?: boolean;
}

let devices = 0;

/** A phone in a test whose app syncs by `createSync()`. Its time stands still between syncs. */
export class SyncedDevice {
  readonly device: Device;
  readonly clock = new ManualClock();
  readonly tokens: MemoryTokens;
  /** Replaced by `install()`. */
  sync: Sync;
  /** All requests that were sent, in order. */
  readonly requests: string[] = [];
  /** Stands between the device and the network. */
  fetch: Fetch = (_request, send) => send();
  readonly #baseUrl: string;
  readonly #realtime: boolean;

  constructor(
    baseUrl: string,
    tokens: Tokens | null,
    { release, realtime = false }: SyncedDeviceOptions = {},
  ) {
    devices += 1;
    this.#baseUrl = baseUrl;
    this.#realtime = realtime;
    this.tokens = new MemoryTokens(tokens);
    this.device = new Device({
      name: `synced-device-${devices}`,
      baseUrl,
      accessToken: () => this.tokens.stored!.accessToken,
      ...(release && { release }),
    });
    this.sync = this.#createSync();
  }

  /** Starts a newer release of the app on this device's data. */
  async install(release: AppRelease): Promise<void> {
    await this.sync.stop();
    await this.device.install(release);
    this.sync = this.#createSync();
  }

  /** A sync that need not wait for the second between two. */
  syncNow(): Promise<SyncResult> {
    this.clock.advance(1000);
    return this.sync.requestSync();
  }

  count(request: string): number {
    return this.requests.filter((sent) => sent === request).length;
  }

  /** Resolves when the status is in this state. */
  reached(state: SyncState): Promise<void> {
    return this.until((status) => status.state === state);
  }

  /** Resolves when this is true, now or after a change of the status. */
  until(isTrue: (status: SyncStatus) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isTrue(this.sync.status)) return;
        unsubscribe();
        resolve();
      };
      const unsubscribe = this.sync.subscribe(check);
      check();
    });
  }

  #createSync(): Sync {
    return createSync({
      database: this.device.database,
      baseUrl: this.#baseUrl,
      tokenStorage: this.tokens,
      migrationsEnabledAtVersion: 1,
      realtime: this.#realtime,
      clock: this.clock,
      // The longest delays.
      random: () => 1,
      fetch: async (input, init) => {
        const path = new URL(new Request(input).url).pathname.replace('/api/v1', '');
        const request = `${init?.method} ${path}`;
        this.requests.push(request);
        return await this.fetch(request, () => fetch(input, init));
      },
    });
  }
}
