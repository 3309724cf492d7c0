import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { untilJobsDone } from '../../../test/support/jobs.js';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Database } from '../database/database.js';
import { JobFailure } from './job-failure.js';
import { type Job, Jobs, type ScheduledJob } from './jobs.js';

const count: Job<{ n: number }> = { name: 'count', payload: z.object({ n: z.int() }) };

const tick: ScheduledJob = { name: 'tick', payload: z.object({}) };

let testDatabase: TestDatabase;
let sql: pg.Pool;
let database: Database;

const newJobs = (env: Record<string, string> = {}) =>
  new Jobs(loadConfig({ DATABASE_URL: testDatabase.url, ...env }), database);

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  sql = new pg.Pool({ connectionString: testDatabase.url, max: 2 });
  database = new Database(loadConfig({ DATABASE_URL: testDatabase.url }));
});
afterAll(async () => {
  await database.onApplicationShutdown();
  await sql.end();
  await testDatabase.drop();
});

describe('Jobs', () => {
  test('exist exactly when the transaction that adds them commits', async () => {
    const done: number[] = [];
    const jobs = newJobs();
    jobs.handle(count, async ({ n }) => void done.push(n));
    jobs.onApplicationBootstrap();
    const adding = (n: number, fail: boolean) => async () => {
      await jobs.add(count, { n });
      if (fail) throw new Error('no');
    };
    await expect(database.transaction(adding(1, true))).rejects.toThrow('no');
    await expect(database.sqlTransaction(adding(2, true))).rejects.toThrow('no');
    await database.transaction(adding(3, false));
    await database.sqlTransaction(adding(4, false));
    await jobs.add(count, { n: 5 });
    await untilJobsDone(sql);
    await jobs.beforeApplicationShutdown();
    expect(done.toSorted()).toEqual([3, 4, 5]);
  });

  test('that are under way are finished before the process ends, and none is lost', async () => {
    const [begun, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const done: number[] = [];
    const jobs = newJobs();
    jobs.handle(count, async ({ n }) => {
      begun.resolve();
      await allowed.promise;
      done.push(n);
    });
    jobs.onApplicationBootstrap();
    await jobs.add(count, { n: 1 });
    await begun.promise;
    const stopped = jobs.beforeApplicationShutdown();
    await jobs.add(count, { n: 2 });
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
    await expect(newJobs().add(count, { n: 0.5 })).rejects.toThrow();
  });

  test('are done over the direct address, where the other one is a pooler', async () => {
    const done = jest.fn<(payload: { n: number }) => Promise<void>>();
    const env = {
      DATABASE_URL: 'postgres://127.0.0.1:1/no',
      DATABASE_DIRECT_URL: testDatabase.url,
    };
    const jobs = newJobs(env);
    jobs.handle(count, done);
    jobs.onApplicationBootstrap();
    await jobs.add(count, { n: 7 });
    await untilJobsDone(sql);
    await jobs.beforeApplicationShutdown();
    expect(done).toHaveBeenCalledWith({ n: 7 });
  });

  describe('that fail', () => {
    interface QueuedJob {
      attempts: number;
      max_attempts: number;
      seconds: number;
      last_error: string;
    }

    /** The row of a job, null when it has none, after it was done once and failed so. */
    const fail = async (error: Error, job = count, add = ''): Promise<QueuedJob | null> => {
      const jobs = newJobs();
      jobs.handle(job, () => Promise.reject(error));
      jobs.onApplicationBootstrap();
      await sql.query(`SELECT FROM graphile_worker.add_job('${job.name}', '{"n":1}'${add})`);
      await untilJobsDone(sql);
      await jobs.beforeApplicationShutdown();
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

  test('find their schema made when two processes start at once without it', async () => {
    const empty = await createTestDatabase({ migrated: false });
    const emptySql = new pg.Pool({ connectionString: empty.url, max: 1 });
    const done: number[] = [];
    const processes = [1, 2].map(() => newJobs({ DATABASE_URL: empty.url }));
    for (const jobs of processes) {
      jobs.handle(count, async ({ n }) => void done.push(n));
      jobs.onApplicationBootstrap();
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
    await Promise.all(processes.map((jobs) => jobs.beforeApplicationShutdown()));
    await emptySql.end();
    await empty.drop();
    expect(done).toEqual([8]);
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
      const processes = [1, 2].map(() => newJobs());
      for (const jobs of processes) {
        jobs.handle(tick, done);
        jobs.schedule(tick, `${then.getUTCMinutes()} ${then.getUTCHours()} * * *`);
        jobs.onApplicationBootstrap();
      }
      await untilAdded(60);
      await untilJobsDone(sql);
      await Promise.all(processes.map((jobs) => jobs.beforeApplicationShutdown()));
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
      const jobs = newJobs();
      jobs.handle(tick, done);
      jobs.schedule(tick, '* * * * *');
      jobs.onApplicationBootstrap();
      await untilAdded(2);
      allowed.resolve();
      await untilJobsDone(sql);
      await jobs.beforeApplicationShutdown();
      // A day of minutes, of which at most one had begun.
      expect(done.mock.calls.length).toBeLessThanOrEqual(2);
      expect(atOnce).toBe(1);
    });

    test('say at once when their times cannot be read', () => {
      expect(() => newJobs().schedule(tick, '61 * * * *')).toThrow('61');
    });
  });
});
