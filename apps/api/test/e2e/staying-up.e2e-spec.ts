import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { Problem, PushResult } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { SessionsRepository } from '../../src/auth/sessions.repository.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { hold, untilBlocked } from '../support/seams.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

describe('staying up', () => {
  let rind: TestApp;

  beforeAll(async () => {
    rind = await TestApp.start();
  });
  afterAll(() => rind.stop());

  const push = (account: Pick<Account, 'accessToken'>, id = 'p') => ({
    token: account.accessToken,
    body: { changes: { projects: { created: [{ id, name: 'n' }] } }, lastPulledAt: null },
  });

  /** Ends every connection of the API, as a restart of the database does. */
  const endConnections = () =>
    rind.sql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'rind-api'`,
    );

  describe('a connection that is lost within a transaction answers 503 and is survived', () => {
    test('in a push', async () => {
      const account = await rind.signUp();
      const seam = hold(rind.app.get(SyncRepository), 'write', 'before');
      const pushed = rind.request('POST', '/sync/push', push(account));
      await seam.reached;
      await endConnections();
      seam.release();
      const { status, body, headers } = await pushed;
      expect([status, body.code]).toEqual([503, 'service_unavailable']);
      expect(headers.get('retry-after')).toBe('5');
      const again = await rind.request('POST', '/sync/push', push(account));
      expect(again.status).toBe(200);
    });

    test('by the server, since this process stood still for too long', async () => {
      const account = await rind.signUp();
      // Of a statement that is on its way when the server ends the session.
      const ended = await rind.sql
        .query(`DO $$ BEGIN RAISE 'idle-in-transaction timeout' USING ERRCODE = '25P03'; END $$`)
        .catch((error: Error) => error);
      const write = jest.spyOn(rind.app.get(SyncRepository), 'write').mockRejectedValueOnce(ended);
      const { status } = await rind.request('POST', '/sync/push', push(account));
      write.mockRestore();
      expect(status).toBe(503);
    });

    test('in a registration', async () => {
      const seam = hold(rind.app.get(SessionsRepository), 'create', 'before');
      const body = {
        email: `${randomUUID()}@example.com`,
        password: 'correct horse',
        displayName: 'N',
      };
      const registered = rind.request('POST', '/auth/register', { body });
      await seam.reached;
      await endConnections();
      seam.release();
      expect(await registered).toMatchObject({
        status: 503,
        body: { code: 'service_unavailable' },
      });
      expect((await rind.request('POST', '/auth/register', { body })).status).toBe(201);
    });
  });

  test('pushes of one user that wait for their clock take no connections from others', async () => {
    const busy = await rind.signUp();
    const other = await rind.signUp();
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [busy.id]);
    // More than the pool has connections.
    const pushes = Array.from({ length: 15 }, (_, n) =>
      rind.request<PushResult & Problem>('POST', '/sync/push', push(busy, `p${n}`)),
    );
    await untilBlocked(rind.sql, pushes[0]!);
    expect((await rind.request('POST', '/sync/push', push(other))).status).toBe(200);
    await admin.query('COMMIT');
    admin.release();
    const statuses = (await Promise.all(pushes)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  test('a user whose queue of pushes is full is asked to come back', async () => {
    const busy = await rind.signUp();
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [busy.id]);
    const pushes = Array.from({ length: 30 }, (_, n) =>
      rind.request('POST', '/sync/push', push(busy, `p${n}`)),
    );
    const refused = await Promise.race(pushes);
    expect(refused).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
    expect(refused.headers.get('retry-after')).toBe('5');
    await admin.query('COMMIT');
    admin.release();
    const statuses = (await Promise.all(pushes)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(20);
  });

  test('a session that ended without a word is not answered from the cache once a push has noticed', async () => {
    const account = await rind.signUp();
    const me = () => rind.request('GET', '/users/me', { token: account.accessToken });
    expect((await me()).status).toBe(200);
    await rind.sql.query('ALTER TABLE sessions DISABLE TRIGGER announce_session_end');
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await rind.sql.query('ALTER TABLE sessions ENABLE TRIGGER announce_session_end');
    expect((await rind.request('POST', '/sync/push', push(account))).status).toBe(401);
    expect((await me()).status).toBe(401);
  });

  describe('large bodies', () => {
    /** The answer to a request of which only the head was sent. */
    async function answerToHead(
      token?: string,
    ): Promise<{ status: number | undefined; text: string }> {
      const request = httpRequest(`${rind.url}/api/v1/sync/push`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': 20_000_000,
          ...(token && { authorization: `Bearer ${token}` }),
        },
      });
      request.flushHeaders();
      const [response] = await once(request, 'response');
      let text = '';
      for await (const chunk of response) text += String(chunk);
      request.destroy();
      return { status: response.statusCode, text };
    }

    test('are not read from strangers', async () => {
      expect(await answerToHead()).toMatchObject({
        status: 401,
        text: expect.stringContaining('unauthenticated'),
      });
      expect(await answerToHead('a.b.c')).toMatchObject({ status: 401 });
    });

    test('are read to their limit from users', async () => {
      const { accessToken: token } = await rind.signUp();
      const small = await TestApp.start({
        env: { SYNC_BODY_LIMIT_MB: '1' },
        database: rind.database,
      });
      const body = JSON.stringify({
        changes: {},
        lastPulledAt: null,
        filler: 'x'.repeat(1_100_000),
      });
      const refused = await small.request('POST', '/sync/push', { token, body });
      await small.stop();
      expect(refused).toMatchObject({ status: 413, body: { code: 'payload_too_large' } });
      expect((await rind.request('POST', '/sync/push', { token, body })).status).toBe(200);
    });

    test('of countless faults are answered with the first hundred', async () => {
      const session = await SyncSession.open(rind);
      const { status, body } = await session.push({
        projects: { created: Array(300_000).fill(0) },
      });
      expect([status, body.warnings.length]).toEqual([200, 100]);
    });
  });
});
