import { readdirSync } from 'node:fs';
import { Injectable } from '@nestjs/common';
import type { HealthCheck, HealthLive, HealthReady } from '@rind/contracts';
import { projectPaths } from '@rind/database/migrate/project-files';
import { withinDeadline } from '../platform/concurrency/within-deadline.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { ProxyWatch } from '../platform/http/proxy-watch.js';
import { Shutdown } from '../platform/shutdown/shutdown.js';
import { version } from '../platform/version.js';
import { RestoredBackups } from '../sync/restored-backups.js';
import { HealthRepository, type JobsState } from './health.repository.js';

/** An answer that comes later is as bad as none. */
const DEADLINE_MS = 800;
/** Anybody may ask, as often as they like: that must not be felt by the database. */
const LOOK_LIFE_MS = 100;

interface DatabaseState {
  readonly migrations: readonly string[];
  readonly latencyMs: number;
}

/**
 * What a look at the database shows. Null for what fails: the reason is logged where it is used, and is nobody's
 * outside.
 */
interface Look {
  readonly database: Promise<DatabaseState | null>;
  /** By itself: requests are served while the queue is locked. */
  readonly jobs: Promise<JobsState | null>;
}

@Injectable()
export class HealthService {
  private readonly expectedMigrations = readdirSync(projectPaths.migrationsDir, {
    withFileTypes: true,
  })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  private latestLook: Look | null = null;

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
    const { database, jobs } = this.look();
    const [databaseState, jobsState] = await Promise.all([
      withinDeadline(database, DEADLINE_MS),
      withinDeadline(jobs, DEADLINE_MS),
    ]);
    const checks: Record<string, HealthCheck> = {
      ...(databaseState === null
        ? { database: { status: 'unavailable' } }
        : {
            ...checkDatabase(databaseState, this.expectedMigrations),
            jobs: checkJobs(jobsState),
          }),
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
  private look(): Look {
    if (this.latestLook) return this.latestLook;
    const database = this.askDatabase();
    // Afterwards, as they share a connection.
    const jobs = database.then((state) => state && this.repository.readJobs()).catch(() => null);
    void jobs.finally(() => {
      setTimeout(() => {
        this.latestLook = null;
      }, LOOK_LIFE_MS).unref();
    });
    this.latestLook = { database, jobs };
    return this.latestLook;
  }

  private async askDatabase(): Promise<DatabaseState | null> {
    const startedAt = performance.now();
    try {
      const migrations = await this.repository.readMigrations();
      return { migrations, latencyMs: Math.round((performance.now() - startedAt) * 10) / 10 };
    } catch {
      return null;
    }
  }
}

function checkDatabase(
  { migrations, latencyMs }: DatabaseState,
  expected: readonly string[],
): Record<string, HealthCheck> {
  const pending = expected.filter((name) => !migrations.includes(name));
  return {
    database: { status: 'ok', latencyMs },
    migrations:
      pending.length === 0
        ? { status: 'ok' }
        : { status: 'unavailable', detail: `${pending.length} migrations are pending` },
  };
}

function checkJobs(state: JobsState | null): HealthCheck {
  if (state === null) return { status: 'degraded', detail: 'Jobs cannot be looked at' };
  if (!state.isUsable) {
    return { status: 'degraded', detail: 'The role of the database may not use the queue of jobs' };
  }
  if (state.hasLateJobs) {
    return { status: 'degraded', detail: 'Jobs that are due are not being done' };
  }
  return { status: 'ok' };
}
