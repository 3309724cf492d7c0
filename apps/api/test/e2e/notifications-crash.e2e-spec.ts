import type { AuthResult, NotificationPage } from '@rind/contracts';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import { untilJobsDone } from '../support/jobs.js';
import { Outbox } from '../support/outbox.js';
import { createTestDatabase, databaseEnvironment } from '../support/test-database.js';

const email = 'ada@example.com';
const password = 'correct horse battery';

type SignedIn = AuthResult & { accessToken: string };

test('a crash of the API between commit and delivery loses neither a notification nor its mail, which is sent once', async () => {
  const database = await createTestDatabase();
  const environment = { NODE_ENV: 'test', ...databaseEnvironment(database), LOG_LEVEL: 'error' };
  // Delivers nothing by itself, so that it is killed before that.
  const first = await ApiProcess.start({ ...environment, WORKER: 'off' });
  const { body: ada } = await first.request<SignedIn>('POST', '/auth/register', {
    body: { email, password, displayName: 'Ada' },
  });
  const changed = await first.request('POST', '/users/me/password', {
    token: ada.accessToken,
    body: { currentPassword: password, newPassword: 'another horse battery' },
  });
  await first.kill();
  expect(changed.status).toBe(204);
  const outbox = new Outbox(database.url);
  const notices = async () =>
    (await outbox.mailsTo(email)).filter(({ kind }) => kind === 'notification');
  expect(await notices()).toEqual([]);

  const second = await ApiProcess.start(environment);
  const { body: feed } = await second.request<NotificationPage>('GET', '/notifications', {
    token: ada.accessToken,
  });
  expect(feed.items.map(({ type }) => type)).toEqual(['password_changed', 'welcome']);
  const sql = new pg.Pool({ connectionString: database.url, max: 1 });
  await untilJobsDone(sql);
  expect(await notices()).toMatchObject([{ subject: 'Your password was changed' }]);
  await second.stop();
  await sql.end();
  await database.drop();
}, 60_000);
