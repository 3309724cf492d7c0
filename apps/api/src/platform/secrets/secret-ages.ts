import { createHmac } from 'node:crypto';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { z } from 'zod';
import { Clock, DAY_MS } from '../clock/clock.js';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { isDatabaseUnavailable } from '../database/database-errors.js';
import { Jobs, type ScheduledJob } from '../jobs/jobs.js';
import { Metrics } from '../metrics/metrics.js';
import { SecretAgesRepository } from './secret-ages.repository.js';

/** A secret of the environment that is to be exchanged now and then. */
export interface WatchedSecret {
  /** Of its variable. */
  readonly name: string;
  readonly current: string;
  /** Those before it, in the order of their variable. */
  readonly previous: readonly string[];
  /** How much still needs a previous one. */
  readonly countUses: (secret: string) => Promise<number>;
}

const checkJob: ScheduledJob = { name: 'check_secrets', payload: z.object({}) };

const MAX_AGE_DAYS = 90;
/** Other instances may be about to get the new secret, and links in mails live for a day. */
const SETTLED_DAYS = 7;
const RETRY_MS = 60_000;

/**
 * Keeps when each secret was first used, by a fingerprint from which it cannot be had, and says which are
 * old and which are of no use any more (docs/ops-secrets.md).
 */
@Injectable()
export class SecretAges implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(SecretAges.name);
  private readonly secrets: WatchedSecret[] = [];
  /** In ms, by the name of the secret; only of those that are current. */
  private readonly firstUses = new Map<string, number>();
  private readonly isProduction: boolean;
  private retry: unknown;

  constructor(
    @InjectConfig() config: Config,
    private readonly repository: SecretAgesRepository,
    private readonly clock: Clock,
    jobs: Jobs,
    metrics: Metrics,
  ) {
    this.isProduction = config.environment === 'production';
    jobs.handle(checkJob, () => this.check());
    jobs.schedule(checkJob, '0 5 * * 1');
    metrics.gauge({
      name: 'rind_secret_age_days',
      help: 'Days since a secret of the environment was first used',
      labelNames: ['secret'],
      read: () =>
        [...this.firstUses.keys()].map((name) => ({
          labels: { secret: name },
          value: this.ageDaysOf(name),
        })),
    });
    if (config.metricsToken !== null) {
      this.watch({
        name: 'METRICS_TOKEN',
        current: config.metricsToken,
        previous: [],
        countUses: async () => 0,
      });
    }
  }

  /** Must be called before the application has started. */
  watch(secret: WatchedSecret): void {
    this.secrets.push(secret);
  }

  onApplicationBootstrap(): void {
    void this.checkUntilDone();
  }

  onModuleDestroy(): void {
    this.clock.clearTimeout(this.retry);
  }

  /** In the background: where it does not migrate at its start, the API listens without a database, too. */
  private async checkUntilDone(): Promise<void> {
    try {
      await this.check();
    } catch (error) {
      // Of an outage the listening connection tells, once.
      if (!isDatabaseUnavailable(error)) {
        this.logger.warn({ err: error }, 'The age of secrets could not be looked up: trying again');
      }
      this.retry = this.clock.setTimeout(() => void this.checkUntilDone(), RETRY_MS);
    }
  }

  private async check(): Promise<void> {
    const firstUsedAt = new Date(this.clock.now());
    for (const { name, current } of this.secrets) {
      await this.repository.record({ name, fingerprint: fingerprintOf(current), firstUsedAt });
    }
    const used = await this.repository.list(this.secrets.map(({ name }) => name));
    for (const secret of this.secrets) {
      const known = new Map(
        used
          .filter(({ name }) => name === secret.name)
          .map((use) => [use.fingerprint, use.firstUsedAt.getTime()]),
      );
      this.firstUses.set(secret.name, known.get(fingerprintOf(secret.current))!);
      // What developers use protects nothing.
      if (this.isProduction) await this.warn(secret, known);
    }
  }

  private async warn(secret: WatchedSecret, known: ReadonlyMap<string, number>): Promise<void> {
    const { name, previous, countUses } = secret;
    const ageDays = this.ageDaysOf(name);
    if (ageDays > MAX_AGE_DAYS) {
      this.logger.warn(
        { variable: name, ageDays },
        `${name} is older than ${MAX_AGE_DAYS} days: exchange it as docs/ops-secrets.md says`,
      );
    }
    if (ageDays < SETTLED_DAYS) return;
    for (const [index, value] of previous.entries()) {
      // One that was never current is about to be: the first step of exchanging a secret.
      if (!known.has(fingerprintOf(value)) || (await countUses(value)) > 0) continue;
      this.logger.warn(
        { variable: `${name}_PREVIOUS`, position: index + 1 },
        `Nothing needs a secret in ${name}_PREVIOUS any more: take it out`,
      );
    }
  }

  /** Whole days; the clock of the instance that used it first may have been ahead. */
  private ageDaysOf(name: string): number {
    return Math.max(0, Math.floor((this.clock.now() - this.firstUses.get(name)!) / DAY_MS));
  }
}

function fingerprintOf(secret: string): string {
  return createHmac('sha256', secret).update('rind secret age').digest('hex').slice(0, 16);
}
