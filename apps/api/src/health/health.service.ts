import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { HealthCheck, HealthLive, HealthReady } from '@rind/contracts';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { ProxyWatch } from '../platform/http/proxy-watch.js';
import { version } from '../platform/version.js';
import { HealthRepository } from './health.repository.js';

/** An answer that comes later is as bad as none. */
const DATABASE_DEADLINE_MS = 900;

const migrationsFolder = new URL('../../../../prisma/migrations/', import.meta.url);

@Injectable()
export class HealthService {
  private readonly expectedMigrations = readdirSync(migrationsFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  private pendingAnswer: Promise<HealthReady> | null = null;

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly repository: HealthRepository,
    private readonly proxyWatch: ProxyWatch,
  ) {}

  live(): HealthLive {
    return { status: 'ok', timestamp: new Date().toISOString(), version };
  }

  /** Whether requests can be served. Callers at the same time share one look at the database. */
  async ready(): Promise<HealthReady> {
    this.pendingAnswer ??= this.look().finally(() => {
      this.pendingAnswer = null;
    });
    return this.pendingAnswer;
  }

  private async look(): Promise<HealthReady> {
    const startedAt = performance.now();
    const applied = await this.withinDeadline(this.repository.listAppliedMigrations());
    const latencyMs = Math.round((performance.now() - startedAt) * 10) / 10;
    const checks: Record<string, HealthCheck> = {
      database: applied ? { status: 'ok', latencyMs } : { status: 'unavailable' },
      ...(applied && { migrations: this.checkMigrations(applied) }),
      proxy: this.proxyWatch.isDegraded
        ? { status: 'degraded', detail: 'Forwarded requests arrive, but TRUST_PROXY is not set' }
        : { status: 'ok' },
    };
    const statuses = Object.values(checks).map(({ status }) => status);
    return {
      status: statuses.includes('unavailable')
        ? 'unavailable'
        : statuses.includes('degraded')
          ? 'degraded'
          : 'ok',
      timestamp: new Date().toISOString(),
      version,
      commit: this.config.commit,
      checks,
    };
  }

  private checkMigrations(applied: readonly string[]): HealthCheck {
    const pending = this.expectedMigrations.filter((name) => !applied.includes(name));
    return pending.length === 0
      ? { status: 'ok' }
      : { status: 'unavailable', detail: `${pending.length} migrations are pending` };
  }

  /** Null for a database that fails or is late: the reason is logged where it is used, and is nobody's outside. */
  private async withinDeadline<T>(work: Promise<T>): Promise<T | null> {
    const timeout = new AbortController();
    const deadline = delay(DATABASE_DEADLINE_MS, null, { signal: timeout.signal, ref: false });
    try {
      return await Promise.race([work.catch(() => null), deadline]);
    } finally {
      timeout.abort();
      await deadline.catch(() => null);
    }
  }
}
