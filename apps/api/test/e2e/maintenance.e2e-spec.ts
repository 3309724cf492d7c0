import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { untilJobsDone } from '../support/jobs.js';
import { LogRecorder } from '../support/log-recorder.js';
import { SyncSession } from '../support/sync-session.js';
import { TestApp } from '../support/test-app.js';

let rind: TestApp;
let log: LogRecorder;

beforeAll(async () => {
  rind = await TestApp.start();
});
afterEach(() => rind.sql.query('DROP TABLE IF EXISTS crowded'));
afterAll(() => rind.stop());

/** The one line of a run. */
async function maintain() {
  log = new LogRecorder();
  await rind.sql.query(`SELECT FROM graphile_worker.add_job('maintain_database')`);
  await untilJobsDone(rind.sql);
  const lines = log.lines.filter(({ context }) => context === 'MaintenanceService');
  expect(lines).toHaveLength(1);
  return lines[0]!;
}

/** PostgreSQL counts after a moment, and announces it nowhere. */
async function untilCounted(table: string, condition: string): Promise<void> {
  const isCounted = async () => {
    const { rowCount } = await rind.sql.query(
      `SELECT FROM pg_stat_user_tables WHERE relname = $1 AND ${condition}`,
      [table],
    );
    return rowCount === 1;
  };
  while (!(await isCounted()));
}

describe('The job maintain_database', () => {
  test('says in one line how the database is', async () => {
    await rind.signUp();
    expect(await maintain()).toMatchObject({
      level: 'info',
      msg: 'The database is well',
      bytes: expect.any(Number),
      transactionAge: expect.any(Number),
      oldestTransactionSeconds: expect.any(Number),
      idleSlots: 0,
      liveRows: expect.any(Number),
      deadRows: expect.any(Number),
      deletedRows: expect.any(Number),
      neverVacuumed: [],
      largestTables: expect.arrayContaining([
        {
          name: expect.any(String),
          bytes: expect.any(Number),
          liveRows: expect.any(Number),
          deadRows: expect.any(Number),
        },
      ]),
      unusedIndexes: [],
      stale: [],
      attention: [],
    });
  });

  test('makes statistics anew that are stale, and lets others write meanwhile', async () => {
    await rind.sql.query('CREATE TABLE crowded (n int) WITH (autovacuum_enabled = off)');
    await rind.sql.query('INSERT INTO crowded SELECT generate_series(1, 20000)');
    await untilCounted('crowded', 'n_mod_since_analyze = 20000');
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query('INSERT INTO crowded VALUES (0)');
    expect(await maintain()).toMatchObject({ stale: ['crowded'] });
    await other.query('COMMIT');
    other.release();
    await untilCounted('crowded', 'last_analyze IS NOT NULL');
    expect(await maintain()).toMatchObject({ stale: [] });
  });

  test('leaves a table that somebody has locked', async () => {
    await rind.sql.query('CREATE TABLE crowded (n int) WITH (autovacuum_enabled = off)');
    await rind.sql.query('INSERT INTO crowded SELECT generate_series(1, 20000)');
    await untilCounted('crowded', 'n_mod_since_analyze = 20000');
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query('LOCK crowded IN SHARE UPDATE EXCLUSIVE MODE');
    await maintain();
    await other.query('COMMIT');
    other.release();
    await untilCounted('crowded', 'last_analyze IS NULL');
  });

  test('warns of what does not pass by itself', async () => {
    await rind.sql.query('CREATE TABLE crowded (n int) WITH (autovacuum_enabled = off)');
    await rind.sql.query('INSERT INTO crowded SELECT generate_series(1, 20000)');
    await rind.sql.query('DELETE FROM crowded WHERE n <= 15000');
    await rind.sql.query('INSERT INTO crowded VALUES (16000)');
    await rind.sql.query('CREATE UNIQUE INDEX CONCURRENTLY broken ON crowded (n)').catch(() => 0);
    await untilCounted('crowded', 'n_dead_tup >= 15000');
    expect(await maintain()).toMatchObject({
      level: 'warn',
      msg: 'The database needs attention',
      neverVacuumed: ['crowded'],
      attention: [
        'Every third row of crowded or more is dead: VACUUM it',
        'The index broken was not built to its end: REINDEX or drop it',
      ],
    });
  });

  test('is scheduled', async () => {
    const isKnown = async () => {
      const { rowCount } = await rind.sql.query(
        `SELECT FROM graphile_worker._private_known_crontabs WHERE identifier = 'maintain_database'`,
      );
      return rowCount === 1;
    };
    while (!(await isKnown()));
  });
});

test('a push writes the clock of its user in place', async () => {
  const session = await SyncSession.open(rind);
  const push = (n: number) => session.push({ projects: { created: [{ id: `p${n}`, name: 'n' }] } });
  const read = async () => {
    const { rows } = await rind.sql.query<{ hot: number; all: number }>(
      `SELECT n_tup_hot_upd::int AS hot, n_tup_upd::int AS all FROM pg_stat_user_tables WHERE relname = 'sync_clocks'`,
    );
    return rows[0]!;
  };
  // Connections tell what they have counted when they do something, and not too often.
  let counts = await read();
  for (let n = 0; counts.all < 20; n += 1) {
    await push(n);
    counts = await read();
  }
  expect(counts.hot).toBe(counts.all);
});
