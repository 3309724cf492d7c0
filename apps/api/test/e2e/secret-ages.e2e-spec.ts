import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Clock } from '../../src/platform/clock/clock.js';
import { encryptionKeyId } from '../../src/platform/encryption/secret-box.js';
import { SecretAgesRepository } from '../../src/platform/secrets/secret-ages.repository.js';
import { untilJobsDone } from '../support/jobs.js';
import { LogRecorder } from '../support/log-recorder.js';
import { ManualClock } from '../support/manual-clock.js';
import { TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const DAY_MS = 86_400_000;
const OLD = 'the old secret of this test and long enough';
const NEW = 'the new secret of this test and long enough';
const KEY = 'the encryption key of this test and long enough';
const METRICS_TOKEN = 'metrics-token-of-this-test';

const production = {
  NODE_ENV: 'production',
  JWT_SECRET: OLD,
  ENCRYPTION_KEY: KEY,
  METRICS_TOKEN,
  FRONTEND_URL: 'https://app.example.com',
  RESEND_API_KEY: 're_key',
  RESEND_BASE_URL: 'http://127.0.0.1:1',
  EMAIL_FROM: 'mail@example.com',
  EMAIL_VERIFICATION_REQUIRED: 'false',
};

let database: TestDatabase;
let rind: TestApp;
let clock: ManualClock;

beforeEach(async () => {
  database = await createTestDatabase();
  clock = new ManualClock();
  jest.spyOn(Clock.prototype, 'now').mockImplementation(() => clock.now());
});
afterEach(async () => {
  await rind.stop();
  await database.drop();
  jest.restoreAllMocks();
});

async function start(env: Record<string, string> = {}): Promise<void> {
  rind = await TestApp.start({ database, env: { ...production, ...env } });
}

async function restart(env: Record<string, string>): Promise<void> {
  await rind.stop();
  await start(env);
}

/** What the weekly look says. */
async function check() {
  const log = new LogRecorder();
  await rind.sql.query(`SELECT FROM graphile_worker.add_job('check_secrets')`);
  await untilJobsDone(rind.sql);
  expect(log.text).not.toMatch(/of this test|metrics-token/);
  const lines = log.lines.filter(({ context }) => context === 'SecretAges');
  expect(new Set(lines.map(({ level }) => level)).size).toBeLessThanOrEqual(1);
  return lines.map(({ variable, ageDays, position }) => [variable, ageDays ?? position]);
}

const scrape = async (): Promise<Record<string, number>> => {
  const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
  const text = await (await fetch(`${rind.url}/metrics`, { headers })).text();
  const samples = text.matchAll(/^rind_secret_age_days\{secret="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries(Array.from(samples, ([, name, days]) => [name, Number(days)]));
};

test('the age of each secret is known from the start on, and counts from its first use', async () => {
  await start();
  while (!('METRICS_TOKEN' in (await scrape())));
  while (!('ENCRYPTION_KEY' in (await scrape())));
  expect(await scrape()).toEqual({ JWT_SECRET: 0, ENCRYPTION_KEY: 0, METRICS_TOKEN: 0 });
  clock.advance(30 * DAY_MS);
  expect(await scrape()).toEqual({ JWT_SECRET: 30, ENCRYPTION_KEY: 30, METRICS_TOKEN: 30 });
  // A restart, or a second instance, does not make it young again.
  await restart({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
  await check();
  expect(await scrape()).toEqual({ JWT_SECRET: 0, ENCRYPTION_KEY: 30, METRICS_TOKEN: 30 });
});

test.each([
  ['is told', new Error('column "first_used_at" does not exist'), 1],
  ['is not told in an outage', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 0],
])('a first look that fails %s', async (_, error, lines) => {
  const warn = jest.spyOn(Logger.prototype, 'warn');
  const record = jest.spyOn(SecretAgesRepository.prototype, 'record');
  const failed = new Promise<void>((resolve) => {
    record.mockImplementationOnce(async () => {
      setImmediate(resolve);
      throw error;
    });
  });
  await start();
  await failed;
  const told = warn.mock.calls.filter(([, text]) =>
    String(text).startsWith('The age of secrets could not'),
  );
  expect(told).toHaveLength(lines);
});

test('a secret older than 90 days is warned of', async () => {
  await start();
  expect(await check()).toEqual([]);
  clock.advance(90 * DAY_MS);
  expect(await check()).toEqual([]);
  clock.advance(DAY_MS);
  const all = ['METRICS_TOKEN', 'JWT_SECRET', 'ENCRYPTION_KEY'];
  expect((await check()).toSorted()).toEqual(all.toSorted().map((name) => [name, 91]));
  await restart({ NODE_ENV: 'test' });
  expect(await check()).toEqual([]);
});

test('a previous secret is told to go when no session needs it any more', async () => {
  await start({ JWT_SECRET_PREVIOUS: NEW });
  await rind.signUp();
  clock.advance(10 * DAY_MS);
  // It is about to become the current one.
  expect(await check()).toEqual([]);
  await restart({
    JWT_SECRET: NEW,
    JWT_SECRET_PREVIOUS: `some other secret that was never used,${OLD}`,
  });
  expect(await check()).toEqual([]);
  clock.advance(8 * DAY_MS);
  expect(await check()).toEqual([]);
  await rind.sql.query(`UPDATE sessions SET expires_at = now() - interval '1 second'`);
  expect(await check()).toEqual([['JWT_SECRET_PREVIOUS', 2]]);
});

test('a previous key is told to go when nothing is encrypted under it any more', async () => {
  await start();
  const { id } = await rind.signUp();
  await rind.sql.query(`INSERT INTO totp_factors (user_id, secret, key_id) VALUES ($1, '', $2)`, [
    id,
    encryptionKeyId(KEY),
  ]);
  await check();
  await restart({ ENCRYPTION_KEY: NEW, ENCRYPTION_KEY_PREVIOUS: KEY });
  await check();
  clock.advance(8 * DAY_MS);
  expect(await check()).toEqual([]);
  await rind.sql.query('DELETE FROM totp_factors');
  expect(await check()).toEqual([['ENCRYPTION_KEY_PREVIOUS', 1]]);
});

test('the table holds nothing to guess a secret by but its fingerprint, and the look is scheduled', async () => {
  await start();
  await check();
  const { rows } = await rind.sql.query('SELECT name, fingerprint FROM secret_ages');
  expect(rows).toHaveLength(3);
  for (const { fingerprint } of rows) expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
  const isKnown = async () => {
    const { rowCount } = await rind.sql.query(
      `SELECT FROM graphile_worker._private_known_crontabs WHERE identifier = 'check_secrets'`,
    );
    return rowCount === 1;
  };
  while (!(await isKnown()));
});
