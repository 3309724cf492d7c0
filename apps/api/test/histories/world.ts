import type { PushResult } from '@rind/contracts';
import { FaultyProxy, type Forwarded } from '../support/faulty-proxy.js';
import type { Moment, Outage } from './commands.js';
import type { Deployment } from './deployment.js';
import type { ObservedPush } from './model.js';

/** Five devices of one account and one of another. */
export const MAX_DEVICES = 6;

/** What passes on the wire to the database at each moment: the names of the engine's statements. */
const signs: Readonly<Record<Moment, string>> = {
  check: 'sync_check_push',
  upsert: 'sync_upsert_',
  cascade: 'sync_cascade',
  advanceClock: 'sync_advance_clock',
  commit: 'COMMIT',
  pull: 'sync_pull',
};

/** A deployment and a bad network in front of it: for all histories. */
export class World {
  private readonly observers = new Map<string, (push: ObservedPush) => void>();
  private outage: Outage | null = null;
  private interruption: Promise<void> | null = null;

  private constructor(
    readonly deployment: Deployment,
    /** By device and instance: a fault that is armed for one device strikes no other one. */
    private readonly proxies: ReadonlyArray<readonly FaultyProxy[]>,
  ) {
    for (const proxy of proxies.flat()) proxy.observer = (forwarded) => this.observe(forwarded);
    deployment.wire.on('sent', (bytes) => this.interruptAt(bytes));
  }

  static async start(deploy: () => Promise<Deployment>): Promise<World> {
    const deployment = await deploy();
    const proxies = await Promise.all(
      Array.from({ length: MAX_DEVICES }, () =>
        Promise.all(deployment.urls.map((url) => FaultyProxy.start(url))),
      ),
    );
    return new World(deployment, proxies);
  }

  async stop(): Promise<void> {
    await Promise.all(this.proxies.flat().map((proxy) => proxy.close()));
    await this.deployment.stop();
  }

  proxyOf(device: number, instance: number): FaultyProxy {
    return this.proxies[device]![instance]!;
  }

  /** Tells how each push of the user ends that an instance got whole, until told otherwise. */
  watch(userId: string, observer: ((push: ObservedPush) => void) | null): void {
    if (observer) this.observers.set(userId, observer);
    else this.observers.delete(userId);
  }

  /** The database is interrupted when the next statement of that kind is on its way. */
  armOutage(outage: Outage): void {
    this.outage = outage;
  }

  /** Resolves when an outage that struck is over, and disarms one that did not; whether it struck. */
  async endOutage(): Promise<boolean> {
    this.outage = null;
    const { interruption } = this;
    this.interruption = null;
    await interruption;
    return interruption !== null;
  }

  private interruptAt(bytes: Buffer): void {
    if (!this.outage || !bytes.includes(signs[this.outage.at])) return;
    this.interruption = this.deployment.interrupt(this.outage.how);
    // Awaited at the end of the step.
    this.interruption.catch(() => undefined);
    this.outage = null;
  }

  private observe({ path, headers, body, answer }: Forwarded): void {
    if (!path.endsWith('/sync/push')) return;
    // What the engine refuses it has not applied. After a failure it may be either way.
    if (answer && answer.status >= 400 && answer.status < 500) return;
    const result = answer?.status === 200 && (JSON.parse(answer.body.toString()) as PushResult);
    this.observers.get(userOf(headers.authorization!))?.({
      changes: (JSON.parse(body.toString()) as Pick<ObservedPush, 'changes'>).changes,
      version: result ? result.timestamp : null,
    });
  }
}

/** From the claims of the access token. */
function userOf(authorization: string): string {
  const claims = Buffer.from(authorization.split('.')[1]!, 'base64url').toString();
  return (JSON.parse(claims) as { sub: string }).sub;
}
