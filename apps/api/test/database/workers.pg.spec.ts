import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { JobsTiming } from '../../src/platform/jobs/job-worker.js';
import { untilJobsDone } from '../support/jobs.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../support/test-database.js';
import { EFFECTS, WorkerProcess } from '../support/worker-process.js';

let database: TestDatabase;
let sql: pg.Pool;
let workers: WorkerProcess[];

beforeEach(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 2 });
  await sql.query(`CREATE TABLE ${EFFECTS} (n int, pid int)`);
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await sql.end();
  await database.drop();
});

function start(): WorkerProcess {
  const worker = new WorkerProcess(databaseEnvironment(database));
  workers.push(worker);
  return worker;
}

const add = (first: number, last = first) =>
  sql.query(
    `SELECT FROM generate_series($1::int, $2) AS n, graphile_worker.add_job('effect', json_build_object('n', n))`,
    [first, last],
  );

const effects = async () =>
  (await sql.query<{ n: number; pid: number }>(`SELECT n, pid FROM ${EFFECTS} ORDER BY n`)).rows;

async function poolIds(): Promise<string[]> {
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM worker_pools ORDER BY id');
  return rows.map(({ id }) => id);
}

/** Announced nowhere, so the table is asked. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

describe('Two processes', () => {
  test('share the queue, and no job is done twice', async () => {
    await add(1, 200);
    const pair = [start(), start()];
    await Promise.all(pair.map((worker) => worker.untilBegun()));
    for (const worker of pair) worker.allow();
    await untilJobsDone(sql);
    const done = await effects();
    expect(done.map(({ n }) => n)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(new Set(done.map(({ pid }) => pid))).toEqual(new Set(pair.map(({ pid }) => pid)));
  });

  test('the job of one that was killed in its middle is done by the other, its effect once', async () => {
    await add(1);
    const victim = start();
    expect(await victim.untilBegun()).toBe(1);
    await until(async () => (await poolIds()).length === 1);
    const [victimsPool] = await poolIds();
    const { rows } = await sql.query('SELECT locked_by FROM graphile_worker._private_jobs');
    expect(rows).toEqual([{ locked_by: victimsPool }]);
    const other = start();
    other.allow();
    await until(async () => (await poolIds()).length === 2);
    await victim.kill();
    expect(await effects()).toEqual([]);
    await sql.query(
      `UPDATE worker_pools SET seen_at = seen_at - interval '61 seconds' WHERE id = $1`,
      [victimsPool],
    );
    await untilJobsDone(sql);
    expect(await effects()).toEqual([{ n: 1, pid: other.pid }]);
    expect(await poolIds()).not.toContain(victimsPool);
  });

  test('also of one that was killed before its first heartbeat', async () => {
    await add(1);
    await sql.query(
      `UPDATE graphile_worker._private_jobs
       SET locked_by = 'unknown', locked_at = now() - interval '61 seconds', attempts = 1`,
    );
    const other = start();
    other.allow();
    await untilJobsDone(sql);
    expect(await effects()).toEqual([{ n: 1, pid: other.pid }]);
  });

  test('one that was taken for dead starts again, and finishes what it had begun', async () => {
    await add(1);
    const paused = start();
    await paused.untilBegun();
    await until(async () => (await poolIds()).length === 1);
    const before = await poolIds();
    await sql.query('DELETE FROM worker_pools');
    await sql.query('SELECT graphile_worker.force_unlock_workers($1)', [before]);
    paused.allow();
    await until(async () => (await poolIds()).length === 1);
    expect(await poolIds()).not.toEqual(before);
    await add(2);
    await untilJobsDone(sql);
    // Before it learned that it had lost the first, it may have taken it again.
    expect(new Set((await effects()).map(({ n }) => n))).toEqual(new Set([1, 2]));
    expect(await poolIds()).toHaveLength(1);
  });

  test('that ends as it should leaves no heartbeat behind', async () => {
    const worker = start();
    await until(async () => (await poolIds()).length === 1);
    await worker.stop();
    await until(async () => (await poolIds()).length === 0);
  });
});

test('The job of a killed process is begun again within two minutes', () => {
  const { silenceMs, heartbeatMs, pollIntervalMs } = new JobsTiming();
  expect(silenceMs + heartbeatMs + pollIntervalMs).toBeLessThan(120_000);
  // A pool that lives is heard more often than it counts as silent.
  expect(silenceMs).toBeGreaterThanOrEqual(3 * heartbeatMs);
});
