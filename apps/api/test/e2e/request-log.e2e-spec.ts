import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { HealthService } from '../../src/health/health.service.js';
import { RequestLog } from '../../src/platform/http/request-log.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { untilJobsDone } from '../support/jobs.js';
import { LogRecorder } from '../support/log-recorder.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { hold, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';
const traceparent = `00-${traceId}-${parentId}-01`;

describe('the log of requests', () => {
  let rind: TestApp;
  let account: Account;
  let log: LogRecorder;

  beforeAll(async () => {
    rind = await TestApp.start();
    account = await rind.signUp();
    // They log as well.
    await untilJobsDone(rind.sql);
  });
  afterAll(() => rind.stop());
  beforeEach(() => {
    log = new LogRecorder();
  });

  /** Something is said of it while it is applied, far from any request. */
  const imperfectPush = (id: string, headers: Record<string, string>, instance = rind) =>
    instance.request('POST', '/sync/push', {
      token: account.accessToken,
      body: { changes: { projects: { created: [{ id, name: 7 }] } }, lastPulledAt: null },
      headers,
    });

  test('says in every line which request it is about, and which trace', async () => {
    await imperfectPush('a', { 'x-request-id': 'request-1', traceparent });
    const lines = log.lines.map(({ msg, requestId, traceId: trace, parentId: parent }) => [
      msg,
      requestId,
      trace,
      parent,
    ]);
    expect(lines).toEqual([
      ['A push was repaired', 'request-1', traceId, parentId],
      ['Request answered', 'request-1', traceId, parentId],
    ]);
  });

  test('says nothing of a trace that it was not told of, or not well', async () => {
    await imperfectPush('b', {});
    await imperfectPush('c', { traceparent: traceparent.replace('00-', 'ff-') });
    expect(log.lines).toHaveLength(4);
    expect(log.text).not.toMatch(/traceId|parentId/);
  });

  test('does not take requests at the same time for one another', async () => {
    const ids = Array.from({ length: 15 }, (_, n) => `request-${n}`);
    await Promise.all(ids.map((id) => imperfectPush(id, { 'x-request-id': id })));
    const repaired = log.find('A push was repaired').map(({ requestId }) => requestId);
    expect(repaired.toSorted()).toEqual(ids.toSorted());
  });

  test('tells of a slow query, and of the request that waited, but not of its parameters', async () => {
    const measuring = await TestApp.start({
      database: rind.database,
      env: { SLOW_QUERY_MS: '300' },
    });
    const admin = await rind.sql.connect();
    await admin.query('BEGIN');
    await admin.query('SELECT FROM sync_clocks WHERE user_id = $1 FOR UPDATE', [account.id]);
    log = new LogRecorder();
    const headers = { 'x-request-id': 'request-1', traceparent };
    const pushed = imperfectPush('secret-id', headers, measuring);
    await untilBlocked(rind.sql, pushed);
    await admin.query('SELECT pg_sleep(0.4)');
    await admin.query('COMMIT');
    admin.release();
    expect((await pushed).status).toBe(200);
    await measuring.stop();
    const slow = log
      .find('A query was slow')
      .find(
        ({ sql, requestId }) => requestId === 'request-1' && String(sql).includes('sync_clocks'),
      );
    expect(slow).toMatchObject({
      level: 'warn',
      requestId: 'request-1',
      traceId,
      statement: expect.any(String),
      sql: expect.stringContaining('sync_clocks'),
    });
    expect(slow!['durationMs']).toBeGreaterThanOrEqual(300);
    expect(JSON.stringify(slow)).not.toMatch(new RegExp(`secret-id|${account.id}`));
  });

  test('is silent about polls of its health that find nothing wrong', async () => {
    const health = rind.app.get(HealthService);
    const ready = await health.ready();
    // Whatever the look at a database that may stand still has shown.
    const spy = jest.spyOn(health, 'ready').mockResolvedValue({ ...ready, status: 'ok' });
    for (const route of ['', '/live', '/ready']) {
      expect((await rind.request('GET', `/health${route}`)).status).toBe(200);
    }
    expect(log.lines).toEqual([]);
    spy.mockResolvedValue({ ...ready, status: 'unavailable' });
    await rind.request('GET', '/health/ready');
    spy.mockRestore();
    expect(log.lines).toMatchObject([
      { route: '/api/v1/health/ready', status: 503, level: 'info' },
    ]);
  });

  test('holds little of a path that leads nowhere, and no token that stands in it', async () => {
    const { accessToken, refreshToken } = await rind.signUp();
    const someone = 'ada@example.com';
    log = new LogRecorder();
    for (const path of [refreshToken, `x/${accessToken}/y`, someone, 'x/'.repeat(7_500)]) {
      expect((await rind.request('GET', `/${path}`)).status).toBe(404);
      expect((await rind.request('GET', `/nowhere/${path}?token=${refreshToken}`)).status).toBe(
        404,
      );
    }
    const lines = log.find('Request answered');
    expect(lines).toHaveLength(8);
    for (const line of lines) {
      expect(line['route']).toBeNull();
      expect(String(line['path']).length).toBeLessThanOrEqual(201);
    }
    const [, signature] = /\.([^.]+)$/.exec(accessToken)!;
    for (const secret of [refreshToken, signature!, someone])
      expect(log.text).not.toContain(secret);
    expect(lines[0]).toMatchObject({ path: '/api/v1/<value>' });
  });

  test('tells the path of every route as it is', async () => {
    const id = crypto.randomUUID();
    const path = `/auth/sessions/${id}`;
    await rind.request('DELETE', path, { token: account.accessToken });
    expect(log.find('Request answered')).toMatchObject([{ path: `/api/v1${path}` }]);
  });

  test('says that a client left before it had its answer', async () => {
    const seam = hold(rind.app.get(SyncRepository), 'write', 'before');
    const body = {
      changes: { projects: { created: [{ id: 'x', name: 'X' }] } },
      lastPulledAt: null,
    };
    const request = httpRequest(`${rind.url}/api/v1/sync/push`, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${account.accessToken}`,
        'content-type': 'application/json',
      },
    });
    request.on('error', () => undefined);
    request.end(JSON.stringify(body));
    await seam.reached;
    const written = new Promise<void>((resolve) => {
      const requestLog = rind.app.get(RequestLog);
      const write = requestLog.write.bind(requestLog);
      jest.spyOn(requestLog, 'write').mockImplementationOnce((...parameters) => {
        write(...parameters);
        resolve();
      });
    });
    request.destroy();
    await written;
    seam.release();
    expect(log.find('Request answered')).toMatchObject([{ status: 499, bytes: 0 }]);
  });

  test('has a line for a socket that was let in', async () => {
    const client = await RealtimeClient.connect(rind.url, account.accessToken, {
      extraHeaders: { 'x-request-id': 'handshake-1' },
    });
    client.close();
    expect(log.find('Socket connected')).toMatchObject([
      {
        level: 'info',
        requestId: 'handshake-1',
        ip: expect.stringContaining('127.0.0.1'),
        userId: account.id,
        sessionId: account.session.id,
      },
    ]);
  });
});
