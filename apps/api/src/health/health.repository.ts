import { Injectable } from '@nestjs/common';
import { DatabaseProbe } from '../platform/database/database-probe.js';

/** Longer than a worker that died is noticed, and than mails to many take. */
const LATE_MINUTES = 10;

/** What the database says of itself. */
export interface DatabaseState {
  /** Names of the migrations that it has; none before the first. */
  readonly migrations: readonly string[];
  /** Whether a job has been due for long, and nobody does it. */
  readonly hasLateJobs: boolean;
}

const FIND_TABLES = `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS "hasMigrations",
  to_regclass('graphile_worker._private_jobs') IS NOT NULL AS "hasJobs"`;

const MIGRATIONS = `SELECT migration_name AS name FROM _prisma_migrations
WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`;

/** By the index that workers take jobs from, so that a long queue costs no more than a short one. */
const LATE_JOBS = `SELECT EXISTS (
  SELECT FROM graphile_worker._private_jobs
  WHERE is_available AND run_at < now() - interval '${LATE_MINUTES} minutes') AS "hasLateJobs"`;

@Injectable()
export class HealthRepository {
  constructor(private readonly probe: DatabaseProbe) {}

  async readState(): Promise<DatabaseState> {
    const [tables] = await this.probe.run<{ hasMigrations: boolean; hasJobs: boolean }>(
      'health',
      FIND_TABLES,
    );
    const migrations = tables!.hasMigrations
      ? await this.probe.run<{ name: string }>('health', MIGRATIONS)
      : [];
    const jobs = tables!.hasJobs
      ? await this.probe.run<{ hasLateJobs: boolean }>('health', LATE_JOBS)
      : [];
    return {
      migrations: migrations.map(({ name }) => name),
      hasLateJobs: jobs[0]?.hasLateJobs ?? false,
    };
  }
}
