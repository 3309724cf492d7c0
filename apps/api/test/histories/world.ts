import { PushService } from '../../src/sync/push.service.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { DomainError } from '../../src/platform/errors/domain.error.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { TestApp } from '../support/test-app.js';
import type { Outage } from './commands.js';
import type { ObservedPush } from './model.js';
import { ProcessClocks } from './process-clocks.js';

/** Seven minutes apart. Tokens live longer than that. */
const CLOCK_OFFSETS_MS = [4 * 60_000, -3 * 60_000];

/** Five devices of one account and one of another. */
export const MAX_DEVICES = 6;

/** Two instances of the API with wrong clocks on one database, and a bad network in front of them: for all histories. */
export class World {
  private readonly observers = new Map<string, (push: ObservedPush) => void>();
  private outage: Outage | null = null;
  private broken: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly instances: readonly TestApp[],
    /** By device and instance: a fault that is armed for one device strikes no other one. */
    private readonly proxies: ReadonlyArray<readonly FaultyProxy[]>,
  ) {
    for (const { app } of instances) {
      this.observe(app.get(PushService));
      this.breakAt(app.get(SyncRepository));
    }
  }

  static async start(): Promise<World> {
    ProcessClocks.install();
    // Broken requests and lost connections are what happens here on purpose.
    const env = { LOG_LEVEL: 'silent' };
    const first = await TestApp.start({ env });
    const instances = [first, await TestApp.start({ env, database: first.database })];
    instances.forEach((instance, index) => ProcessClocks.shift(instance, CLOCK_OFFSETS_MS[index]!));
    const proxies = await Promise.all(
      Array.from({ length: MAX_DEVICES }, () =>
        Promise.all(instances.map(({ url }) => FaultyProxy.start(url))),
      ),
    );
    return new World(instances, proxies);
  }

  async stop(): Promise<void> {
    await Promise.all(this.proxies.flat().map((proxy) => proxy.close()));
    // The first one owns the database.
    for (const instance of this.instances.toReversed()) await instance.stop();
    ProcessClocks.uninstall();
  }

  get sql(): TestApp['sql'] {
    return this.instances[0]!.sql;
  }

  proxyOf(device: number, instance: number): FaultyProxy {
    return this.proxies[device]![instance]!;
  }

  /** Tells how each push of the user ends that reaches the engine, until told otherwise. */
  watch(userId: string, observer: ((push: ObservedPush) => void) | null): void {
    if (observer) this.observers.set(userId, observer);
    else this.observers.delete(userId);
  }

  /** At the next call of this method of the repository all connections to the database end. */
  armOutage(outage: Outage): void {
    this.outage = outage;
  }

  /** Resolves when an outage that struck is over, and disarms one that did not. */
  async endOutage(): Promise<void> {
    this.outage = null;
    await this.broken;
  }

  private observe(service: PushService): void {
    const push = service.push.bind(service);
    service.push = async (principal, body) => {
      const observed = (version: number | null) =>
        this.observers.get(principal.userId)?.({ changes: body.changes, version });
      try {
        const applied = await push(principal, body);
        observed(applied.result.timestamp);
        return applied;
      } catch (error) {
        // What the engine refuses it has not applied.
        if (!(error instanceof DomainError && error.code === 'sync_conflict')) observed(null);
        throw error;
      }
    };
  }

  private breakAt(repository: SyncRepository): void {
    const breakIfArmed = async (method: Outage) => {
      if (this.outage !== method) return;
      this.outage = null;
      this.broken = this.endConnections();
      await this.broken;
    };
    for (const method of ['meet', 'write', 'pull'] as const) {
      const original = repository[method].bind(repository) as (
        ...parameters: unknown[]
      ) => Promise<unknown>;
      Object.assign(repository, {
        [method]: async (...parameters: unknown[]) => {
          await breakIfArmed(method);
          return original(...parameters);
        },
      });
    }
  }

  /** What a restart of the database does to its clients. */
  private async endConnections(): Promise<void> {
    await this.sql.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
  }
}
