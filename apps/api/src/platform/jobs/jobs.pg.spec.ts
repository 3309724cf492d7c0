import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { untilJobsDone } from '../../../test/support/jobs.js';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Database } from '../database/database.js';
import { type Job, Jobs } from './jobs.js';

const count: Job<{ n: number }> = { name: 'count', payload: z.object({ n: z.int() }) };

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
});
