import type { Problem, PushResult } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SyncEvents } from '../../src/sync/sync-events.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { untilBlocked } from '../support/seams.js';
import { SyncedDevice } from '../support/synced-device.js';
import { type Account, TestApp } from '../support/test-app.js';

/** As often as a transaction is tried. */
const ATTEMPTS = 4;

describe('a push that PostgreSQL gives up (hazard H6)', () => {
  let rind: TestApp;
  let announced: string[];

  beforeAll(async () => {
    rind = await TestApp.start({ env: { LOG_LEVEL: 'fatal' } });
    rind.app.get(SyncEvents).on('changed', ({ userId, sessionId, timestamp }) => {
      // What the server writes by itself, such as the greeting, is not pushed.
      if (sessionId !== null) announced.push(`${userId} ${timestamp}`);
    });
    // A sequence keeps its value through a rollback, and so counts the attempts.
    await rind.sql.query(`
      CREATE SEQUENCE attempts;
      CREATE TABLE failures (state text, times int);
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE failure failures;
      BEGIN
        SELECT * INTO failure FROM failures;
        IF FOUND AND nextval('attempts') <= failure.times THEN
          RAISE EXCEPTION USING ERRCODE = failure.state, MESSAGE = 'given up by the test';
        END IF;
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON sync_clocks DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail();
    `);
  });
  beforeEach(() => failTimes(0));
  afterAll(() => rind.stop());

  /** The next so many pushes fail in their COMMIT, when everything but that is done. */
  async function failTimes(times: number, state = '40001'): Promise<void> {
    announced = [];
    await rind.sql.query('TRUNCATE failures');
    await rind.sql.query(`SELECT setval('attempts', 1, false)`);
    if (times > 0) await rind.sql.query('INSERT INTO failures VALUES ($1, $2)', [state, times]);
  }

  async function countAttempts(): Promise<number> {
    const { rows } = await rind.sql.query<{ count: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS count FROM attempts',
    );
    return rows[0]!.count;
  }

  const push = ({ accessToken }: Account, id: string) =>
    rind.request<PushResult & Problem>('POST', '/sync/push', {
      token: accessToken,
      body: {
        changes: { projects: { created: [{ id, name: id, created_at: 1, updated_at: 1 }] } },
        lastPulledAt: null,
      },
    });

  /** What is committed: the clock, and each row with its version. */
  async function stateOf({ id }: Account): Promise<{ clock: number; rows: string[] }> {
    const { rows } = await rind.sql.query<{ clock: number; rows: string[] }>(
      `SELECT version::float8 AS clock,
         ARRAY(SELECT id || ' ' || version FROM projects WHERE user_id = $1 ORDER BY id) AS rows
       FROM sync_clocks WHERE user_id = $1`,
      [id],
    );
    return rows[0]!;
  }

  test('a push that nothing disturbs is tried once', async () => {
    const account = await rind.signUp();
    const { body } = await push(account, 'p');
    expect(announced).toEqual([`${account.id} ${body.timestamp}`]);
  });

  test.each([
    ['a serialisation failure', '40001', 1],
    ['a deadlock', '40P01', 1],
    ['all but the last attempt', '40001', ATTEMPTS - 1],
  ])('is repeated inside after %s, applied once and announced once', async (_, state, times) => {
    const account = await rind.signUp();
    await failTimes(times, state);
    const { status, body } = await push(account, 'p');
    expect(status).toBe(200);
    expect(await countAttempts()).toBe(times + 1);
    expect(await stateOf(account)).toEqual({
      clock: body.timestamp,
      rows: [`p ${body.timestamp}`],
    });
    expect(announced).toEqual([`${account.id} ${body.timestamp}`]);
  });

  test('is repeated after a real deadlock with another transaction', async () => {
    const account = await rind.signUp();
    const attempts = jest.spyOn(rind.app.get(SyncRepository), 'meet');
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query('LOCK TABLE projects IN SHARE MODE');
    const pushed = push(account, 'p');
    await untilBlocked(rind.sql, pushed);
    // The push has its clock and wants the table; the other one has the table and wants the clock.
    // PostgreSQL gives up the one that waited first for a second: the push.
    await other.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [account.id]);
    await other.query('COMMIT');
    other.release();
    const { status, body } = await pushed;
    expect(status).toBe(200);
    expect(attempts).toHaveBeenCalledTimes(2);
    attempts.mockRestore();
    expect((await stateOf(account)).rows).toEqual([`p ${body.timestamp}`]);
    expect(announced).toEqual([`${account.id} ${body.timestamp}`]);
  });

  test('beyond all attempts is a 503 that asks to come back, with nothing applied', async () => {
    const account = await rind.signUp();
    const before = await stateOf(account);
    await failTimes(ATTEMPTS);
    const { status, body, headers } = await push(account, 'p');
    expect([status, body.code]).toEqual([503, 'service_unavailable']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await countAttempts()).toBe(ATTEMPTS);
    expect(await stateOf(account)).toEqual(before);
    expect(announced).toEqual([]);
  });

  test('beyond all attempts stays on its device, which succeeds when it comes back', async () => {
    const account = await rind.signUp();
    const { accessToken, refreshToken } = account;
    const phone = new SyncedDevice(rind.url, { accessToken, refreshToken });
    phone.sync.start();
    await phone.reached('syncing');
    await phone.reached('idle');
    const house = await phone.device.create('projects', { name: 'House' });
    await failTimes(ATTEMPTS);
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(await phone.device.hasUnsyncedChanges()).toBe(true);
    phone.clock.advance(phone.sync.status.until! - phone.clock.now());
    await phone.reached('idle');
    await phone.sync.stop();
    expect(await phone.device.hasUnsyncedChanges()).toBe(false);
    const { clock, rows } = await stateOf(account);
    expect(rows).toEqual([`${house} ${clock}`]);
    expect(announced).toEqual([`${account.id} ${clock}`]);
  });
});
