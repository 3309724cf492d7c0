import type { Problem, PullResult, PushResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { TombstonesService } from '../../src/sync/tombstones.service.js';
import { hold, type Seam, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

describe('pushes beside other transactions', () => {
  let rind: TestApp;
  /** Pushes of one user to one instance wait in its memory; those to two meet in the database. */
  let other: TestApp;
  let repository: SyncRepository;
  const seams: Seam[] = [];

  beforeAll(async () => {
    // Given-up transactions are reported as errors.
    rind = await TestApp.start({ env: { LOG_LEVEL: 'fatal' } });
    other = await TestApp.start({ database: rind.database, env: { LOG_LEVEL: 'fatal' } });
    repository = rind.app.get(SyncRepository);
  });
  afterEach(() => seams.splice(0).forEach((seam) => seam.release()));
  afterAll(async () => {
    await other.stop();
    await rind.stop();
  });

  function holdAt(method: keyof SyncRepository, moment: 'before' | 'after'): Seam {
    const seam = hold(repository, method, moment);
    seams.push(seam);
    return seam;
  }

  const project = (id: string, name = id) => ({ id, name, created_at: 1, updated_at: 1 });

  const push = (
    account: Account,
    changes: object,
    lastPulledAt: number | null,
    instance: TestApp = rind,
  ) =>
    instance.request<PushResult & Problem>('POST', '/sync/push', {
      token: account.accessToken,
      body: { changes, lastPulledAt },
    });

  const create = (account: Account, id: string, lastPulledAt: number | null, instance?: TestApp) =>
    push(account, { projects: { created: [project(id)] } }, lastPulledAt, instance);

  async function pull(account: Account, cursor = 0): Promise<{ timestamp: number; ids: string[] }> {
    const { body } = await rind.request<PullResult>('GET', `/sync/pull?lastPulledAt=${cursor}`, {
      token: account.accessToken,
    });
    const rows = body.changes['projects']?.updated as Array<{ id: string }>;
    return { timestamp: body.timestamp, ids: rows.map(({ id }) => id).toSorted() };
  }

  async function countRows(account: Account): Promise<number> {
    const { rows } = await rind.sql.query(
      `SELECT (SELECT count(*) FROM projects WHERE user_id = $1)
            + (SELECT count(*) FROM tasks WHERE user_id = $1)
            + (SELECT count(*) FROM sync_clocks WHERE user_id = $1)
            + (SELECT count(*) FROM sessions WHERE user_id = $1) AS count`,
      [account.id],
    );
    return Number(rows[0].count);
  }

  test.each([
    ['meet', 'before'],
    ['meet', 'after'],
    ['write', 'after'],
  ] as const)(
    'held %s %s it, beside the deletion of its user: both end, nothing is left',
    async (method, moment) => {
      const account = await rind.signUp();
      await create(account, 'parent', null);
      const { timestamp } = await pull(account);
      const seam = holdAt(method, moment);
      const pushed = push(
        account,
        {
          projects: { created: [project('other')], deleted: ['parent'] },
          tasks: { created: [{ id: 'child', title: 'child', project_id: 'parent' }] },
        },
        timestamp,
      );
      await seam.reached;
      const deleted = rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
      // Before the lock is taken the deletion goes through; after that it waits for the push.
      if (moment === 'before') await deleted;
      else await untilBlocked(rind.sql);
      seam.release();
      const [{ status, body }] = await Promise.all([pushed, deleted]);
      if (moment === 'before') expect([status, body.code]).toEqual([401, 'session_ended']);
      else expect(status).toBe(200);
      expect(await countRows(account)).toBe(0);
    },
  );

  test('a push that waits behind a deactivation is refused, and applies nothing', async () => {
    const account = await rind.signUp();
    const { timestamp } = await pull(account);
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('UPDATE users SET is_active = false WHERE id = $1', [account.id]);
    await admin.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [account.id]);
    const pushed = create(account, 'late', timestamp);
    await untilBlocked(rind.sql, pushed);
    await admin.query('COMMIT');
    admin.release();
    expect(await pushed).toMatchObject({ status: 401, body: { code: 'session_ended' } });
    const { rows } = await rind.sql.query('SELECT FROM projects WHERE user_id = $1', [account.id]);
    expect(rows).toHaveLength(0);
  });

  test('a push that waits behind the end of its own session is refused', async () => {
    const account = await rind.signUp();
    const seam = holdAt('meet', 'before');
    const pushed = create(account, 'late', (await pull(account)).timestamp);
    await seam.reached;
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    seam.release();
    expect(await pushed).toMatchObject({ status: 401, body: { code: 'session_ended' } });
  });

  test('the first pull of an empty account: a timestamp above 0, all lists there and empty but for the greeting (rules 2, 3 and 6)', async () => {
    const account = await rind.signUp();
    const { body } = await rind.request<PullResult>('GET', '/sync/pull', {
      token: account.accessToken,
    });
    const empty = { created: [], updated: [], deleted: [] };
    expect(body).toEqual({
      changes: {
        projects: empty,
        tasks: empty,
        notifications: { ...empty, updated: [expect.objectContaining({ type: 'welcome' })] },
      },
      timestamp: expect.any(Number),
      account: account.id,
      timeline: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(body.timestamp).toBeGreaterThan(0);
  });

  test('two first pushes at the same time: other ids both succeed, the same id exactly once', async () => {
    const account = await rind.signUp();
    const { timestamp } = await pull(account);
    const seam = holdAt('write', 'before');
    const held = create(account, 'same', timestamp);
    await seam.reached;
    const pushes = [
      held,
      create(account, 'same', timestamp, other),
      create(account, 'other', timestamp),
    ];
    await untilBlocked(rind.sql, pushes[1]!);
    seam.release();
    const statuses = (await Promise.all(pushes)).map(({ status }) => status);
    expect(new Set(statuses.slice(0, 2))).toEqual(new Set([200, 409]));
    expect(statuses[2]).toBe(200);
    expect((await pull(account)).ids).toEqual(['other', 'same']);
  });

  test('while a push is open nobody gets a timestamp beyond it (hazards H1 and H4)', async () => {
    const account = await rind.signUp();
    const { timestamp: start } = await pull(account);
    const seam = holdAt('write', 'after');
    const first = create(account, 'first', start);
    await seam.reached;
    const second = create(account, 'second', start, other);
    await untilBlocked(rind.sql, second);
    const meanwhile = await pull(account, start);
    expect(meanwhile).toEqual({ timestamp: start, ids: [] });
    seam.release();
    const [earlier, later] = await Promise.all([first, second]);
    expect(earlier.body.timestamp).toBeGreaterThan(start);
    expect(later.body.timestamp).toBeGreaterThan(earlier.body.timestamp);
    expect((await pull(account, meanwhile.timestamp)).ids).toEqual(['first', 'second']);
  });

  test('two edits of one record with equal cursors: exactly one wins (rule 28, hazard H5)', async () => {
    const account = await rind.signUp();
    await create(account, 'p', null);
    const { timestamp } = await pull(account);
    const seam = holdAt('write', 'before');
    const edit = (name: string, instance?: TestApp) =>
      push(account, { projects: { updated: [project('p', name)] } }, timestamp, instance);
    const first = edit('one');
    await seam.reached;
    const second = edit('two', other);
    await untilBlocked(rind.sql, second);
    seam.release();
    const answers = await Promise.all([first, second]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
    expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({
      code: 'sync_conflict',
      errors: [{ pointer: '/changes/projects/updated/0', code: 'changed_on_server' }],
    });
  });

  test('versions grow although the clock of the database stands behind them (hazards H2 and H3)', async () => {
    const account = await rind.signUp();
    const ahead = Date.now() + 86_400_000;
    await rind.sql.query('UPDATE sync_clocks SET version = $2 WHERE user_id = $1', [
      account.id,
      ahead,
    ]);
    const first = await create(account, 'a', ahead);
    const second = await create(account, 'b', first.body.timestamp);
    expect([first.body.timestamp, second.body.timestamp]).toEqual([ahead + 1, ahead + 2]);
  });

  test('while old deletions are purged a pull names them still, or replaces all (hazard H9)', async () => {
    const account = await rind.signUp();
    await create(account, 'gone', null);
    const { timestamp } = await pull(account);
    await push(account, { projects: { deleted: ['gone'] } }, timestamp);
    // Long ago, and the device has not been here since.
    await rind.sql.query('UPDATE projects SET version = 2 WHERE user_id = $1', [account.id]);
    const seam = holdAt('raiseFloor', 'before');
    const purged = rind.app.get(TombstonesService).purge();
    await seam.reached;
    const during = await rind.request<PullResult>('GET', '/sync/pull?lastPulledAt=1', {
      token: account.accessToken,
    });
    expect(during.body.changes['projects']!.deleted).toEqual(['gone']);
    seam.release();
    await purged;
    const after = await rind.request<PullResult>('GET', '/sync/pull?lastPulledAt=1', {
      token: account.accessToken,
    });
    expect(after.body.experimentalStrategy).toBe('replacement');
  });

  describe.each(['serialization_failure', 'deadlock_detected'])(
    'PostgreSQL gives up a push at its commit: %s (hazard H6)',
    (reason) => {
      beforeAll(() =>
        // The sequence counts the attempts: it is not rolled back.
        rind.sql.query(`
          CREATE SEQUENCE attempts MINVALUE 0 START 0;
          CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('attempts') < NEW.created_at THEN RAISE 'given up' USING ERRCODE = '${reason}'; END IF;
            RETURN NULL;
          END $$;
          CREATE CONSTRAINT TRIGGER give_up AFTER INSERT ON projects DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.name = 'given up') EXECUTE FUNCTION give_up()`),
      );
      beforeEach(() => rind.sql.query('ALTER SEQUENCE attempts RESTART'));
      afterAll(() =>
        rind.sql.query(
          'DROP TRIGGER give_up ON projects; DROP FUNCTION give_up; DROP SEQUENCE attempts',
        ),
      );

      const pushGivenUp = (account: Account, times: number, cursor: number) =>
        push(
          account,
          {
            projects: {
              created: [{ id: 'p', name: 'given up', created_at: times, updated_at: 1 }],
            },
          },
          cursor,
        );

      test('it is repeated inside, and applied once', async () => {
        const account = await rind.signUp();
        const { status, body } = await pushGivenUp(account, 3, (await pull(account)).timestamp);
        expect(status).toBe(200);
        expect(await pull(account)).toEqual({ timestamp: body.timestamp, ids: ['p'] });
      });

      test('but not for ever: then it is a 503, and nothing of it is there (rules 22 and 37)', async () => {
        const account = await rind.signUp();
        const { timestamp } = await pull(account);
        const { status, headers, body } = await pushGivenUp(account, 1000, timestamp);
        expect([status, body.code]).toEqual([503, 'service_unavailable']);
        expect(headers.get('retry-after')).toMatch(/^\d+$/);
        expect(await pull(account)).toEqual({ timestamp, ids: [] });
        const { rows } = await rind.sql.query(
          'SELECT last_value::int + 1 AS attempts FROM attempts',
        );
        expect(rows).toEqual([{ attempts: 4 }]);
      });
    },
  );
});
