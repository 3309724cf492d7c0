import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../../../test/support/test-database.js';
import { loadConfig } from '../config/config.js';
import { Database } from '../database/database.js';
import { Notices, NoticesTiming } from '../database/notices.js';
import { InstanceLink } from './instance-link.js';

describe('the link between instances', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let listening: Notices[];
  let here: InstanceLink;
  let there: InstanceLink;

  beforeAll(async () => {
    Logger.overrideLogger(false);
    testDatabase = await createTestDatabase();
    const config = loadConfig(databaseEnvironment(testDatabase));
    database = new Database(config);
    listening = [0, 1].map(() => new Notices(config, new NoticesTiming()));
    [here, there] = listening.map((notices) => new InstanceLink(database, notices)) as [
      InstanceLink,
      InstanceLink,
    ];
    for (const notices of listening) {
      const live = once(notices, 'live');
      notices.onApplicationBootstrap();
      await live;
    }
  });
  afterAll(async () => {
    for (const notices of listening) notices.onModuleDestroy();
    await database.onApplicationShutdown();
    await testDatabase.drop();
  });

  /** The next messages that arrive at the other instance. */
  function received(count: number): Promise<unknown[]> {
    const messages: unknown[] = [];
    return new Promise((resolve) => {
      there.on('message', function take(message) {
        messages.push(message);
        if (messages.length < count) return;
        there.off('message', take);
        resolve(messages);
      });
    });
  }

  test.each([
    ['small', { text: 'x' }],
    ['as large as one notice', { text: 'x'.repeat(6_980) }],
    ['larger than a notice', { text: 'x'.repeat(50_000) }],
    ['of any text', { text: `' " \\ \n ü 🧹 \u2028 \0 ${'🧹ü'.repeat(5_000)}`, list: [1, null] }],
  ])('carries a message that is %s', async (_kind, message) => {
    const arrived = received(1);
    here.publish(message);
    expect(await arrived).toEqual([message]);
  });

  test('keeps order and number, of messages that are alike as well', async () => {
    const messages = [0, 1, 1, 1, 2].map((n) => ({ n, text: 'x'.repeat(n * 8_000) }));
    const arrived = received(5);
    for (const message of messages) here.publish(message);
    expect(await arrived).toEqual(messages);
  });

  test('sends what comes in a burst with few statements', async () => {
    const statements = jest.spyOn(database, 'query');
    const arrived = received(100);
    for (let n = 0; n < 100; n += 1) here.publish({ n });
    await arrived;
    expect(statements.mock.calls.length).toBeLessThanOrEqual(2);
    statements.mockRestore();
  });

  test('what was lost with the database stays lost, and what follows arrives', async () => {
    const failed = Promise.withResolvers<void>();
    const failing = jest.spyOn(database, 'query').mockImplementationOnce(() => {
      failed.resolve();
      return Promise.reject(new Error('no database'));
    });
    const arrived = received(1);
    here.publish({ n: 'lost' });
    await failed.promise;
    here.publish({ n: 'next' });
    expect(await arrived).toEqual([{ n: 'next' }]);
    failing.mockRestore();
  });

  test('half a message is nothing, and spoils not the next one', async () => {
    const arrived = received(1);
    for (const payload of ['', 'x', '1 1/2 {"n":', '2 2/2 1}', '3 3/1 {}', '4 1/1 {'])
      await database.query({
        text: 'SELECT pg_notify($1, $2)',
        values: ['rind_realtime', payload],
      });
    here.publish({ n: 'whole' });
    expect(await arrived).toEqual([{ n: 'whole' }]);
  });
});
