import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { z } from 'zod';
import { LogRecorder } from '../../../test/support/log-recorder.js';
import { untilJobsDone } from '../../../test/support/jobs.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Database } from '../database/database.js';
import { DatabaseMetrics } from '../database/database-metrics.js';
import { DatabaseProbe } from '../database/database-probe.js';
import { SlowQueries } from '../database/slow-queries.js';
import { Metrics } from '../metrics/metrics.js';
import { JobFailure } from './job-failure.js';
import { JobMetrics } from './job-metrics.js';
import { JobQueue } from './job-queue.js';
import { JobsTiming, JobWorker } from './job-worker.js';
import { type Job, Jobs, type ScheduledJob } from './jobs.js';

const count: Job<{ n: number }> = { name: 'count', payload: z.object({ n: z.int() }) };

const about: Job<{ userId: string }> = {
  name: 'about',
  payload: z.object({ userId: z.uuid() }),
};
const tick: ScheduledJob = { name: 'tick', payload: z.object({}) };

let testDatabase: TestDatabase;
let sql: pg.Pool;
let database: Database;
let probe: DatabaseProbe;

/** What does jobs in one process. */
class Process {
  readonly jobs = new Jobs(database);
  readonly metrics: Metrics;
  private readonly worker: JobWorker;

  constructor(env: Record<string, string> = {}) {
    const config = loadConfig({ ...databaseEnvironment(testDatabase), ...env });
    this.metrics = new Metrics(config);
    const counts = new JobMetrics(this.metrics, new JobQueue(database, this.jobs, probe));
    const pools = new DatabaseMetrics(this.metrics, new SlowQueries(config));
    this.worker = new JobWorker(config, this.jobs, new JobsTiming(), counts, pools);
  }

  start(): void {
    this.worker.onApplicationBootstrap();
  }

  stop(): Promise<void> {
    return this.worker.stop();
  }
}

async function usersOfJobs(): Promise<string[]> {
  const { rows } = await sql.query<{ userId: string }>(
    `SELECT payload->>'userId' AS "userId" FROM graphile_worker._private_jobs ORDER BY 1`,
  );
  return rows.map(({ userId }) => userId);
}

beforeAll(async () => {
  Logger.overrideLogger(false);
  testDatabase = await createTestDatabase();
  sql = new pg.Pool({ connectionString: testDatabase.url, max: 2 });
  const config = loadConfig(databaseEnvironment(testDatabase));
  database = new Database(config);
  probe = new DatabaseProbe(config);
});
afterAll(async () => {
  await probe.onApplicationShutdown();
  await database.onApplicationShutdown();
  await sql.end();
  await testDatabase.drop();
});

describe('Jobs', () => {
  test('exist exactly when the transaction that adds them commits', async () => {
    const done: number[] = [];
    const one = new Process();
    one.jobs.handle(count, async ({ n }) => void done.push(n));
    one.start();
    const adding = (n: number, fail: boolean) => async () => {
      await one.jobs.add(count, { n });
      if (fail) throw new Error('no');
    };
    await expect(database.transaction(adding(1, true))).rejects.toThrow('no');
    await expect(database.sqlTransaction(adding(2, true))).rejects.toThrow('no');
    await database.transaction(adding(3, false));
    await database.sqlTransaction(adding(4, false));
    await one.jobs.add(count, { n: 5 });
    await untilJobsDone(sql);
    await one.stop();
    expect(done.toSorted()).toEqual([3, 4, 5]);
  });

  test('that are under way are finished before the process ends, and none is lost', async () => {
    const [begun, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const done: number[] = [];
    const one = new Process();
    one.jobs.handle(count, async ({ n }) => {
      begun.resolve();
      await allowed.promise;
      done.push(n);
    });
    one.start();
    await one.jobs.add(count, { n: 1 });
    await begun.promise;
    const stopped = one.stop();
    await one.jobs.add(count, { n: 2 });
    allowed.resolve();
    await stopped;
    const { rows } = await sql.query<{ payload: { n: number } }>(
      'SELECT payload FROM graphile_worker._private_jobs',
    );
    expect(done).toContain(1);
    // It may have been taken before the worker heard of the end.
    expect([...done, ...rows.map(({ payload }) => payload.n)].toSorted()).toEqual([1, 2]);
    await sql.query('DELETE FROM graphile_worker._private_jobs');
  });

  test('with a payload that their schema does not know are not added', async () => {
    await expect(new Process().jobs.add(count, { n: 0.5 })).rejects.toThrow();
  });

  test('are removed with the user they are about, but for what is being done', async () => {
    const [ada, bob] = [randomUUID(), randomUUID()];
    const [begun, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const done: string[] = [];
    const one = new Process();
    one.jobs.handle(about, async ({ userId }) => {
      begun.resolve();
      await allowed.promise;
      done.push(userId);
    });
    await one.jobs.add(about, { userId: ada });
    one.start();
    await begun.promise;
    const later = `SELECT FROM graphile_worker.add_job('about', json_build_object('userId', $1::text), run_at => now() + interval '1 hour')`;
    for (const userId of [ada, ada, bob]) await sql.query(later, [userId]);
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET attempts = max_attempts
       WHERE id = (SELECT max(id) FROM graphile_worker._private_jobs WHERE payload->>'userId' = $1)`,
      [ada],
    );
    const removing = database.transaction(async () => {
      await one.jobs.removeOf(ada);
      throw new Error('rolled back');
    });
    await expect(removing).rejects.toThrow('rolled back');
    expect(await usersOfJobs()).toEqual([ada, ada, ada, bob].toSorted());
    await one.jobs.removeOf(ada);
    expect(await usersOfJobs()).toEqual([ada, bob].toSorted());
    allowed.resolve();
    await untilJobsDone(sql);
    await one.stop();
    expect(done).toEqual([ada]);
    expect(await usersOfJobs()).toEqual([bob]);
    await sql.query('DELETE FROM graphile_worker._private_jobs');
  });

  test('are done over the direct address, where the other one is a pooler', async () => {
    const done = jest.fn<(payload: { n: number }) => Promise<void>>();
    const env = {
      DATABASE_URL: 'postgres://127.0.0.1:1/no',
      DATABASE_DIRECT_URL: testDatabase.url,
    };
    const one = new Process(env);
    one.jobs.handle(count, done);
    one.start();
    await one.jobs.add(count, { n: 7 });
    await untilJobsDone(sql);
    await one.stop();
    expect(done).toHaveBeenCalledWith({ n: 7 });
  });

  test('find their schema made when two processes start at once without it', async () => {
    const empty = await createTestDatabase({ migrated: false });
    const emptySql = new pg.Pool({ connectionString: empty.url, max: 1 });
    const done: number[] = [];
    const processes = [1, 2].map(() => new Process(databaseEnvironment(empty)));
    for (const one of processes) {
      one.jobs.handle(count, async ({ n }) => void done.push(n));
      one.start();
    }
    const isMade = async () => {
      const { rows } = await emptySql.query(
        `SELECT to_regclass('graphile_worker._private_jobs') IS NOT NULL AS made`,
      );
      return rows[0].made as boolean;
    };
    while (!(await isMade()));
    await emptySql.query(`SELECT FROM graphile_worker.add_job('count', '{"n":8}')`);
    await untilJobsDone(emptySql);
    await Promise.all(processes.map((one) => one.stop()));
    await emptySql.end();
    await empty.drop();
    expect(done).toEqual([8]);
  });

  describe('that fail', () => {
    const addLast = (name: string, payload: object, attemptsLeft: number) =>
      sql.query('SELECT FROM graphile_worker.add_job($1, $2, max_attempts => $3)', [
        name,
        JSON.stringify(payload),
        attemptsLeft,
      ]);

    test('are kept with an error that names nobody, and counted', async () => {
      const log = new LogRecorder();
      const one = new Process();
      one.jobs.handle(count, () => Promise.reject(new Error('550 no ada@example.com here')));
      await addLast('count', { n: 1 }, 1);
      await addLast('count', { n: 2 }, 2);
      one.start();
      await untilJobsDone(sql);
      await one.stop();
      const { rows } = await sql.query(
        `SELECT attempts, max_attempts AS "of", last_error AS error FROM graphile_worker._private_jobs ORDER BY id`,
      );
      await sql.query('DELETE FROM graphile_worker._private_jobs');
      Logger.overrideLogger(false);
      expect(log.find('A job has failed for good')).toMatchObject([{ job: 'count', attempt: 1 }]);
      expect(log.find('A job failed and will be tried again')).toHaveLength(1);
      expect(log.text).not.toContain('ada@');
      const error = '550 no <address> here';
      expect(rows).toEqual([
        { attempts: 1, of: 1, error },
        { attempts: 1, of: 2, error },
      ]);
      const metrics = await one.metrics.write();
      expect(metrics).toContain('rind_jobs_failures_total{job="count"} 2');
      expect(metrics).toContain('rind_jobs_given_up_total{job="count"} 1');
      expect(metrics).not.toContain('rind_jobs_done_total{');
    });

    interface QueuedJob {
      attempts: number;
      max_attempts: number;
      seconds: number;
      last_error: string;
    }

    /** The row of a job, null when it has none, after it was done once and failed so. */
    const fail = async (error: Error, job = count, add = ''): Promise<QueuedJob | null> => {
      const one = new Process();
      one.jobs.handle(job, () => Promise.reject(error));
      one.start();
      await sql.query(`SELECT FROM graphile_worker.add_job('${job.name}', '{"n":1}'${add})`);
      await untilJobsDone(sql);
      await one.stop();
      const { rows } = await sql.query<QueuedJob>(
        `DELETE FROM graphile_worker._private_jobs
         RETURNING attempts, max_attempts, last_error, extract(epoch FROM run_at - now())::float8 AS seconds`,
      );
      return rows[0] ?? null;
    };
    const inAnHour = () => new Date(Date.now() + 3_600_000);

    test('are tried again soon', async () => {
      const job = await fail(new Error('not now'));
      expect(job).toMatchObject({ attempts: 1, max_attempts: 25, last_error: 'not now' });
      expect(job!.seconds).toBeLessThan(60);
      expect(await fail(new JobFailure('not now', 'later'))).toMatchObject({ attempts: 1 });
    });

    test('are tried again no earlier than was said', async () => {
      const job = await fail(new JobFailure('too many', inAnHour()));
      expect(job).toMatchObject({ attempts: 1, last_error: 'too many' });
      expect(job!.seconds).toBeGreaterThan(3_500);
    });

    test('for good are never tried again, and stay to be seen', async () => {
      const job = await fail(new JobFailure('refused', 'never'));
      expect(job).toMatchObject({ attempts: 25, max_attempts: 25, last_error: 'refused' });
    });

    test('for good leave no trace of a payload that must not stay', async () => {
      const personal = { ...count, leavesNoTrace: true };
      expect(await fail(new JobFailure('refused', 'never'), personal)).toBeNull();
      expect(await fail(new Error('again'), personal, ', max_attempts => 1')).toBeNull();
      expect(await fail(new Error('again'), personal, ', max_attempts => 2')).not.toBeNull();
    });
  });

  test('are measured: how many wait, are done and have failed, and for how long', async () => {
    const one = new Process();
    const add = (n: number, runAt: string) =>
      sql.query(
        `SELECT FROM graphile_worker.add_job('count', $1, run_at => now() + $2::interval)`,
        [JSON.stringify({ n }), runAt],
      );
    const gauges = async () =>
      Object.fromEntries(
        Array.from(
          (await one.metrics.write()).matchAll(/^rind_jobs_(\w+) (\S+)$/gm),
          ([, name, value]) => [name, Math.floor(Number(value) / 60)],
        ),
      );
    expect(await gauges()).toEqual({ waiting: 0, running: 0, failed: 0, oldest_due_seconds: 0 });
    for (let n = 0; n < 60; n += 1) await add(n, '1 hour');
    expect(await gauges()).toMatchObject({ waiting: 1, oldest_due_seconds: 0 });
    for (let n = 0; n < 180; n += 1) await add(n, '-7 minutes');
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'x', attempts = 1
       WHERE run_at < now() AND (payload->>'n')::int < 120`,
    );
    expect(await gauges()).toEqual({ waiting: 2, running: 2, failed: 0, oldest_due_seconds: 7 });
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET locked_at = NULL, locked_by = NULL, attempts = max_attempts
       WHERE locked_at IS NOT NULL`,
    );
    expect(await gauges()).toEqual({ waiting: 2, running: 0, failed: 2, oldest_due_seconds: 7 });
    await sql.query('DELETE FROM graphile_worker._private_jobs');
  });

  test('are absent from the metrics while the database is away, and the rest is there', async () => {
    const away = new DatabaseProbe(loadConfig({ DATABASE_URL: 'postgres://127.0.0.1:1/no' }));
    const metrics = new Metrics(loadConfig({ DATABASE_URL: testDatabase.url }));
    const counts = new JobMetrics(metrics, new JobQueue(database, new Jobs(database), away));
    counts.countDone('count');
    const text = await metrics.write();
    expect(text).toContain('rind_jobs_done_total{job="count"} 1');
    expect(text).not.toMatch(/^rind_jobs_waiting \d/m);
    await away.onApplicationShutdown();
  });

  describe('that are scheduled', () => {
    /** As if the schedule had been known for long, and nobody had worked since. */
    const forgetRuns = () =>
      sql.query(
        `INSERT INTO graphile_worker._private_known_crontabs (identifier, known_since)
         VALUES ('tick', now() - interval '2 days')
         ON CONFLICT (identifier) DO UPDATE SET known_since = excluded.known_since, last_execution = NULL`,
      );
    /** What was due has been added, which is announced nowhere. */
    const untilAdded = async (sinceMinutes: number) => {
      const isAdded = async () => {
        const { rowCount } = await sql.query(
          `SELECT FROM graphile_worker._private_known_crontabs
           WHERE identifier = 'tick' AND last_execution >= now() - make_interval(mins => $1)`,
          [sinceMinutes],
        );
        return rowCount === 1;
      };
      while (!(await isAdded()));
    };

    test('are done once for several processes, in UTC, and made up for where nobody did', async () => {
      await forgetRuns();
      const then = new Date(Date.now() - 45 * 60_000);
      const done = jest.fn<(payload: object) => Promise<void>>();
      const processes = [1, 2].map(() => new Process());
      for (const one of processes) {
        one.jobs.handle(tick, done);
        one.jobs.schedule(tick, `${then.getUTCMinutes()} ${then.getUTCHours()} * * *`);
        one.start();
      }
      await untilAdded(60);
      await untilJobsDone(sql);
      await Promise.all(processes.map((one) => one.stop()));
      await untilJobsDone(sql);
      expect(done.mock.calls).toEqual([[{}]]);
    });

    test('do not pile up while one is being done', async () => {
      await forgetRuns();
      const allowed = Promise.withResolvers<void>();
      let [atOnce, current] = [0, 0];
      const done = jest.fn(async () => {
        current += 1;
        atOnce = Math.max(atOnce, current);
        await allowed.promise;
        current -= 1;
      });
      const one = new Process();
      one.jobs.handle(tick, done);
      // Every ten minutes, and not while this test runs.
      const now = new Date().getUTCMinutes();
      const minutes = [5, 15, 25, 35, 45, 55].map((later) => (now + later) % 60);
      one.jobs.schedule(tick, `${minutes.join(',')} * * * *`);
      one.start();
      await untilAdded(11);
      allowed.resolve();
      await untilJobsDone(sql);
      await one.stop();
      // Six an hour for a day, of which at most one had begun.
      expect(done.mock.calls.length).toBeLessThanOrEqual(2);
      expect(atOnce).toBe(1);
    });

    test('say at once when their times cannot be read', () => {
      expect(() => new Process().jobs.schedule(tick, '61 * * * *')).toThrow('61');
    });
  });
});
