import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import { untilJobsDone } from '../support/jobs.js';
import { LogRecorder } from '../support/log-recorder.js';
import { Outbox } from '../support/outbox.js';
import { refusal, ResendServer } from '../support/resend-server.js';
import { TestApp } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';

const API_KEY = `re_${randomUUID()}`;
const METRICS_TOKEN = 'the-token-of-these-tests';

let resend: ResendServer;
let rind: TestApp;
let log: LogRecorder;

beforeAll(async () => {
  resend = await ResendServer.start(API_KEY);
  rind = await TestApp.start({
    env: {
      ...resend.environment,
      NODE_ENV: 'production',
      JWT_SECRET: randomUUID(),
      ENCRYPTION_KEY: randomUUID(),
      FRONTEND_URL: 'https://app.example.com',
      EMAIL_VERIFICATION_REQUIRED: 'false',
      METRICS_TOKEN,
    },
  });
  log = new LogRecorder();
});
afterAll(async () => {
  await rind.stop();
  await resend.stop();
});

/** Its address, when the first attempt to send the mail about it has been made. */
async function register(language = 'en'): Promise<string> {
  const email = `${randomUUID()}@example.com`;
  const body = { email, password: 'a brand new password', displayName: 'Ada', language };
  expect((await rind.request('POST', '/auth/register', { body })).status).toBe(201);
  await untilJobsDone(rind.sql);
  return email;
}

async function queued() {
  const { rows } = await rind.sql.query<Record<string, unknown> & { seconds: number }>(
    `SELECT task_identifier AS task, attempts, max_attempts AS most, last_error AS error,
       extract(epoch FROM run_at - now())::float8 AS seconds
     FROM graphile_worker.jobs`,
  );
  return rows;
}

/** As if their time had come. */
async function tryAgain(): Promise<void> {
  await rind.sql.query(
    `WITH due AS (SELECT graphile_worker.reschedule_jobs(array_agg(id), now()) FROM graphile_worker.jobs
       WHERE attempts < max_attempts)
     SELECT pg_notify('jobs:insert', '{"r":"1","count":1}') FROM due`,
  );
  await untilJobsDone(rind.sql);
}

/** The lines of a metric that are not 0. */
async function counted(name: string): Promise<string[]> {
  const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
  const text = await (await fetch(`${rind.url}/metrics`, { headers })).text();
  return text.split('\n').filter((line) => line.startsWith(name) && !line.endsWith(' 0'));
}

describe('In production a mail', () => {
  test('leaves through Resend, in the language of its reader', async () => {
    const email = await register('de');
    const [mail, ...others] = resend.mailsTo(email);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({
      from: 'Rind <mail@example.com>',
      subject: 'Bestätige deine E-Mail-Adresse',
      html: expect.stringContaining('https://app.example.com/verify-email?token='),
      text: expect.stringContaining('https://app.example.com/disown?token='),
    });
    // Nobody may miss what is about the security of an account.
    expect(mail).not.toHaveProperty('headers');
    expect(await queued()).toEqual([]);
    expect(await new Outbox(rind.database.url).mails()).toEqual([]);
  });

  test('that is refused for good is never tried again, and its job stays to be seen', async () => {
    resend.meet(refusal(422, 'validation_error'));
    const email = await register();
    expect(await queued()).toMatchObject([
      { task: 'mail_link', attempts: 17, most: 17, error: expect.stringContaining('422') },
    ]);
    await tryAgain();
    expect(resend.mailsTo(email)).toEqual([]);
    await rind.sql.query('DELETE FROM graphile_worker._private_jobs');
  });

  test('for which a server asks for patience is tried again, no earlier than it says', async () => {
    resend.meet(refusal(429, 'rate_limit_exceeded', { 'retry-after': '3600' }));
    const email = await register();
    const [job] = await queued();
    expect(job).toMatchObject({ attempts: 1, error: expect.stringContaining('429') });
    expect(job!.seconds).toBeGreaterThan(3500);
    await tryAgain();
    expect(resend.mailsTo(email)).toHaveLength(1);
    expect(await queued()).toEqual([]);
  });

  test('whose answer is lost is sent again with the same bytes and key, and arrives once', async () => {
    const before = resend.requests.length;
    resend.meet('cut', refusal(500, 'internal_server_error'));
    const email = await register();
    await tryAgain();
    expect(await queued()).toMatchObject([{ attempts: 2 }]);
    await tryAgain();
    expect(await queued()).toEqual([]);
    const requests = resend.requests.slice(before);
    expect(requests).toEqual([requests[0], requests[0], requests[0]]);
    const keys = resend.headers.slice(before).map((headers) => headers['idempotency-key']);
    expect(keys).toEqual([keys[0], keys[0], keys[0]]);
    expect(resend.mailsTo(email)).toHaveLength(1);
  });

  test('that says goodbye carries an address, and leaves nothing behind once it is sent', async () => {
    const { user, accessToken: token, password } = await rind.signUp();
    await untilJobsDone(rind.sql);
    resend.meet(refusal(500, 'internal_server_error'));
    await rind.request('DELETE', '/users/me', { token, body: { password } });
    await untilJobsDone(rind.sql);
    expect(await queued()).toMatchObject([{ task: 'mail_goodbye', attempts: 1 }]);
    await tryAgain();
    expect(resend.mailsTo(user.email).map(({ subject }) => subject)).toEqual([
      'Confirm your email address',
      'Your account was deleted',
    ]);
    expect(await queued()).toEqual([]);
  });

  test('that says goodbye leaves nothing behind when it is refused for good', async () => {
    const { user, accessToken: token, password } = await rind.signUp();
    await untilJobsDone(rind.sql);
    resend.meet(refusal(422, 'validation_error'));
    await rind.request('DELETE', '/users/me', { token, body: { password } });
    await untilJobsDone(rind.sql);
    expect(resend.mailsTo(user.email)).toHaveLength(1);
    expect(await queued()).toEqual([]);
    expect(log.find('A job has failed for good').at(-1)).toMatchObject({ job: 'mail_goodbye' });
  });

  test('is counted by kind, and its failures by reason', async () => {
    expect(await counted('rind_mails_sent_total')).toEqual([
      'rind_mails_sent_total{kind="verify_email"} 5',
      'rind_mails_sent_total{kind="account_deleted"} 1',
    ]);
    expect(await counted('rind_mail_failures_total')).toEqual([
      'rind_mail_failures_total{kind="verify_email",reason="unreachable"} 1',
      'rind_mail_failures_total{kind="verify_email",reason="server_error"} 1',
      'rind_mail_failures_total{kind="verify_email",reason="rate_limited"} 1',
      'rind_mail_failures_total{kind="verify_email",reason="refused"} 1',
      'rind_mail_failures_total{kind="account_deleted",reason="server_error"} 1',
      'rind_mail_failures_total{kind="account_deleted",reason="refused"} 1',
    ]);
    expect(await counted('rind_mail_send_seconds_count')).toEqual([
      'rind_mail_send_seconds_count{kind="verify_email"} 5',
      'rind_mail_send_seconds_count{kind="account_deleted"} 1',
    ]);
  });

  test('leaves neither key, link nor address in the log', async () => {
    expect(log.find('Mail sent')).toHaveLength(6);
    expect(log.text).toContain('422 validation_error');
    for (const secret of [API_KEY, 'token=', '@example.com'])
      expect(log.text).not.toContain(secret);
  });
});

describe('A process that is killed (-9)', () => {
  test.each([
    ['before Resend has the mail', 'silence'],
    ['after Resend has taken the mail', 'taken in silence'],
  ] as const)('%s: it arrives, and once', async (_, behaviour) => {
    const database = await createTestDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 1 });
    const env = { DATABASE_URL: database.url, ...resend.environment };
    const victim = await ApiProcess.start(env);
    const email = `${randomUUID()}@example.com`;
    const body = { email, password: 'a brand new password', displayName: 'Ada' };
    const before = resend.requests.length;
    resend.meet(behaviour);
    const met = resend.untilMet();
    expect((await victim.request('POST', '/auth/register', { body })).status).toBe(201);
    await met;
    await victim.kill();
    // As others do when its heartbeat is missing.
    await sql.query(
      'SELECT graphile_worker.force_unlock_workers(array_agg(locked_by)) FROM graphile_worker._private_jobs',
    );
    const heir = await ApiProcess.start(env);
    await untilJobsDone(sql);
    await heir.stop();
    await sql.end();
    await database.drop();
    expect(resend.mailsTo(email)).toHaveLength(1);
    const requests = resend.requests.slice(before);
    expect(requests).toEqual([requests[0], requests[0]]);
  });
});
