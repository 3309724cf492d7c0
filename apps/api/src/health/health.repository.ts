import { Injectable } from '@nestjs/common';
import { DatabaseProbe } from '../platform/database/database-probe.js';

/** Longer than a worker that died is noticed, and than mails to many take. */
const LATE_MINUTES = 10;

/** What the queue says of itself. */
export interface JobsState {
  /** Whether the role may see and add jobs: only who owns the queue may, and others see an empty one. */
  readonly isUsable: boolean;
  /** Whether a job has been due for long, and nobody does it. */
  readonly hasLateJobs: boolean;
}

const MIGRATIONS_TABLE = '_prisma_migrations';
const MIGRATIONS = `SELECT migration_name AS name FROM ${MIGRATIONS_TABLE}
WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`;

const JOBS_TABLE = 'graphile_worker._private_jobs';
/** By the index that workers take jobs from, so that a long queue costs no more than a short one. */
const JOBS = `SELECT NOT row_security_active('${JOBS_TABLE}') AS "isUsable", EXISTS (
  SELECT FROM ${JOBS_TABLE}
  WHERE is_available AND run_at < now() - interval '${LATE_MINUTES} minutes') AS "hasLateJobs"`;

@Injectable()
export class HealthRepository {
  constructor(private readonly probe: DatabaseProbe) {}

  /** Names of the migrations that the database has; none before the first. */
  async readMigrations(): Promise<string[]> {
    if (!(await this.exists(MIGRATIONS_TABLE))) return [];
    const rows = await this.probe.run<{ name: string }>('health', MIGRATIONS);
    return rows.map(({ name }) => name);
  }

  async readJobs(): Promise<JobsState> {
    if (!(await this.exists(JOBS_TABLE))) return { isUsable: true, hasLateJobs: false };
    const [state] = await this.probe.run<JobsState>('health', JOBS);
    return state!;
  }

  private async exists(table: string): Promise<boolean> {
    const [row] = await this.probe.run<{ exists: boolean }>(
      'health',
      `SELECT to_regclass('${table}') IS NOT NULL AS exists`,
    );
    return row!.exists;
  }
}
