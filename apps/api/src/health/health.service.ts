import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { HealthCheck, HealthLive, HealthReady } from '@rind/contracts';
import { projectPaths } from '@rind/database/migrate/project-files';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { ProxyWatch } from '../platform/http/proxy-watch.js';
import { Shutdown } from '../platform/shutdown/shutdown.js';
import { version } from '../platform/version.js';
import { RestoredBackups } from '../sync/restored-backups.js';
import { type DatabaseState, HealthRepository } from './health.repository.js';

/** An answer that comes later is as bad as none. */
const DATABASE_DEADLINE_MS = 800;
/** Anybody may ask, as often as they like: that must not be felt by the database. */
const LOOK_LIFE_MS = 100;

/** What a look at the database has shown, and how long it took. */
interface Look {
  readonly state: DatabaseState;
  readonly latencyMs: number;
}

@Injectable()
export class HealthService {
  private readonly expectedMigrations = readdirSync(projectPaths.migrationsDir, {
    withFileTypes: true,
  })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  /** Null for a database that fails: the reason is logged where it is used, and is nobody's outside. */
  private latestLook: Promise<Look | null> | null = null;

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly repository: HealthRepository,
    private readonly proxyWatch: ProxyWatch,
    private readonly shutdown: Shutdown,
    private readonly backups: RestoredBackups,
  ) {}

  live(): HealthLive {
    return { status: 'ok', timestamp: new Date().toISOString(), version };
  }

  /** Whether requests can be served; within a second, whatever the database does. */
  async ready(): Promise<HealthReady> {
    const checks: Record<string, HealthCheck> = {
      ...checkDatabase(await withinDeadline(this.look()), this.expectedMigrations),
      sync: this.backups.isHeldUp
        ? { status: 'degraded', detail: 'Nothing is synced until the database has been looked at' }
        : { status: 'ok' },
      draining: this.shutdown.hasBegun
        ? { status: 'unavailable', detail: 'This process is about to end' }
        : { status: 'ok' },
      proxy: this.proxyWatch.isDegraded
        ? {
            status: 'degraded',
            detail: 'Forwarded requests arrive that TRUST_PROXY does not cover',
          }
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

  /** One at a time, also where it takes longer than anybody waits for it; its result serves all who ask within a moment. */
  private look(): Promise<Look | null> {
    this.latestLook ??= this.askDatabase().finally(() => {
      setTimeout(() => {
        this.latestLook = null;
      }, LOOK_LIFE_MS).unref();
    });
    return this.latestLook;
  }

  private async askDatabase(): Promise<Look | null> {
    const startedAt = performance.now();
    try {
      const state = await this.repository.readState();
      return { state, latencyMs: Math.round((performance.now() - startedAt) * 10) / 10 };
    } catch {
      return null;
    }
  }
}

function checkDatabase(
  look: Look | null,
  expected: readonly string[],
): Record<string, HealthCheck> {
  if (look === null) return { database: { status: 'unavailable' } };
  const { state, latencyMs } = look;
  const pending = expected.filter((name) => !state.migrations.includes(name));
  return {
    database: { status: 'ok', latencyMs },
    migrations:
      pending.length === 0
        ? { status: 'ok' }
        : { status: 'unavailable', detail: `${pending.length} migrations are pending` },
    jobs: state.hasLateJobs
      ? { status: 'degraded', detail: 'Jobs that are due are not being done' }
      : { status: 'ok' },
  };
}

/** Null for work that is late. */
async function withinDeadline<T>(work: Promise<T>): Promise<T | null> {
  const timeout = new AbortController();
  const deadline = delay(DATABASE_DEADLINE_MS, null, { signal: timeout.signal, ref: false });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    timeout.abort();
    await deadline.catch(() => null);
  }
}
