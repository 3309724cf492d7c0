import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Database } from './database.js';
import type { SqlTransaction, Statement } from './sql-transaction.js';

/** `[number]`: breaks on 0. */
const write: Statement = { name: 'write', text: 'INSERT INTO numbers SELECT 1 / $1::int' };
const append: Statement = { name: 'append', text: 'INSERT INTO numbers VALUES ($1::int)' };
const read: Statement = { name: 'read', text: 'SELECT n FROM numbers ORDER BY ctid' };

describe('a transaction of SQL', () => {
  let server: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    server = await createTestDatabase();
    database = new Database(loadConfig({ DATABASE_URL: server.url, DATABASE_POOL_SIZE: '2' }));
    await database.query({ text: 'CREATE TABLE numbers (n int)' });
  });
  beforeEach(() => database.query({ text: 'TRUNCATE numbers' }));
  afterAll(async () => {
    await database.onApplicationShutdown();
    await server.drop();
  });

  const numbers = async () => (await database.run<{ n: number }>(read, [])).map(({ n }) => n);

  /** Both kinds of transaction that hand-written SQL may run in. */
  const kinds: Array<[string, <T>(work: (sql: SqlTransaction) => Promise<T>) => Promise<T>]> = [
    ['of its own', (work) => database.sqlTransaction(work)],
    [
      'of Prisma',
      (work) => database.transaction(() => database.sqlTransaction((sql) => work(sql))),
    ],
  ];

  describe.each(kinds)('%s', (_kind, transaction) => {
    test('runs what is sent in the order in which it is given, and sees it', async () => {
      const seen = await transaction(async (sql) => {
        sql.send(append, [2]);
        sql.send(append, [1]);
        const rows = await sql.run(read, []);
        sql.send(append, [3]);
        return rows;
      });
      expect(seen).toEqual([{ n: 2 }, { n: 1 }]);
      expect(await numbers()).toEqual([2, 1, 3]);
    });

    test('fails with the first failure of what was sent, and nothing stays', async () => {
      let announced = false;
      const failed = transaction(async (sql) => {
        database.afterCommit(() => {
          announced = true;
        });
        sql.send(append, [1]);
        sql.send(write, [0]);
        sql.send(append, [2]);
      });
      await expect(failed).rejects.toThrow('division by zero');
      expect([await numbers(), announced]).toEqual([[], false]);
    });

    test('succeeds although its announcement fails, and the others are made', async () => {
      const announced: string[] = [];
      const result = await transaction(async (sql) => {
        sql.send(append, [1]);
        database.afterCommit(() => void announced.push('first'));
        database.afterCommit(() => {
          throw new Error('Nobody can hear it');
        });
        database.afterCommit(() => void announced.push('last'));
        return 'done';
      });
      expect([result, announced, await numbers()]).toEqual(['done', ['first', 'last'], [1]]);
    });

    test('fails although the failure of a statement was caught', async () => {
      const failed = transaction(async (sql) => {
        sql.send(append, [1]);
        await sql.run(write, [0]).catch(() => undefined);
      });
      await expect(failed).rejects.toThrow();
      expect(await numbers()).toEqual([]);
    });

    test('leaves a connection that the next one can use, with the same statements', async () => {
      const name = `late_${_kind.length}`;
      const late: Statement = { name, text: 'INSERT INTO numbers VALUES ($1::int + 10)' };
      for (const divisor of [0, 0, 1, 1]) {
        const outcome = transaction(async (sql) => {
          sql.send(write, [divisor]);
          sql.send(late, [divisor]);
        });
        await (divisor === 0 ? expect(outcome).rejects.toThrow('division by zero') : outcome);
      }
      expect(await numbers()).toEqual([1, 11, 1, 11]);
    });

    test('that throws takes back what was sent', async () => {
      const failed = transaction(async (sql) => {
        sql.send(append, [1]);
        throw new Error('No');
      });
      await expect(failed).rejects.toThrow('No');
      expect(await numbers()).toEqual([]);
    });
  });
});
