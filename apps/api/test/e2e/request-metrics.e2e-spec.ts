import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { errorCodes } from '@rind/contracts';
import { DAY_MS } from '../../src/platform/clock/clock.js';
import { warningCodes } from '../../src/sync/push-warnings.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { LogRecorder } from '../support/log-recorder.js';
import { RealtimeClient, refusalOf } from '../support/realtime-client.js';
import { listRoutes } from '../support/routes.js';
import { type Sample, scrape, sumOf } from '../support/scrape.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

const METRICS_TOKEN = 'the-token-of-this-test';

describe('what is measured', () => {
  let rind: TestApp;
  let account: Account;
  let before: Sample[];

  beforeAll(async () => {
    rind = await TestApp.start({ env: { METRICS_TOKEN, IMAGE_COMMIT: '0123456789' } });
    account = await rind.signUp();
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    before = await read();
  });

  const read = () => scrape(rind.url, METRICS_TOKEN);

  /** By how much a metric has grown in this test. */
  async function growthOf(name: string, labels: Record<string, string> = {}): Promise<number> {
    return sumOf(await read(), name, labels) - sumOf(before, name, labels);
  }

  /** One request whose answer is not unpacked. */
  async function send(method: string, path: string, body = '', headers = {}) {
    const request = httpRequest(rind.url + path, {
      method,
      agent: false,
      headers: { authorization: `Bearer ${account.accessToken}`, ...headers },
    });
    request.end(body);
    const [response] = await once(request, 'response');
    let bytes = 0;
    for await (const chunk of response) bytes += (chunk as Buffer).length;
    return { status: response.statusCode as number, bytes };
  }

  describe('of requests', () => {
    const me = { method: 'GET', route: '/api/v1/users/me' };

    test('is how many there were of a route, with which status, and how long they took', async () => {
      const token = account.accessToken;
      await rind.request('GET', '/users/me', { token });
      await rind.request('GET', '/users/me', { token });
      await rind.request('GET', '/users/me');
      expect(await growthOf('rind_http_requests_total', { ...me, status: '200' })).toBe(2);
      expect(await growthOf('rind_http_requests_total', { ...me, status: '401' })).toBe(1);
      expect(await growthOf('rind_http_request_seconds_count', me)).toBe(3);
      // Where the service level lies.
      const bounds = before.filter(({ name }) => name === 'rind_http_request_seconds_bucket');
      expect(bounds.map(({ labels }) => labels['le'])).toContain('0.2');
    });

    test('is the bytes of bodies, as they came and left', async () => {
      const body = JSON.stringify({ displayName: 'Zoë' });
      const labels = { method: 'PATCH', route: '/api/v1/users/me' };
      const { bytes } = await send('PATCH', '/api/v1/users/me', body, {
        'content-type': 'application/json',
      });
      expect(await growthOf('rind_http_received_bytes_total', labels)).toBe(
        Buffer.byteLength(body),
      );
      expect(await growthOf('rind_http_sent_bytes_total', labels)).toBe(bytes);
    });

    test('is the bytes of an answer that is streamed and compressed, in its line of the log, too', async () => {
      const session = await SyncSession.open(rind, account);
      const created = Array.from({ length: SMALL_PULL_ROWS + 100 }, (_, n) => ({
        id: `p${n}`,
        name: `Project ${n}`,
      }));
      await session.push({ projects: { created } });
      const log = new LogRecorder();
      before = await read();
      const { status, bytes } = await send('GET', '/api/v1/sync/pull?lastPulledAt=', '', {
        'accept-encoding': 'gzip',
      });
      expect([status, bytes > 1000]).toEqual([200, true]);
      const labels = { method: 'GET', route: '/api/v1/sync/pull' };
      expect(await growthOf('rind_http_sent_bytes_total', labels)).toBe(bytes);
      expect(log.find('Request answered')).toMatchObject([{ coding: 'gzip', bytes }]);
    });

    test('is nothing that was not sent', async () => {
      expect(await send('HEAD', '/api/v1/users/me')).toEqual({ status: 200, bytes: 0 });
      expect(await growthOf('rind_http_sent_bytes_total', { method: 'HEAD' })).toBe(0);
    });

    test('has a bounded number of series, whatever is asked for', async () => {
      const madeUp = Array.from({ length: 50 }, (_, n) => `/made-up-${n}/${n}?x=made-up`);
      for (const path of madeUp) await rind.request('GET', path);
      for (const path of madeUp) await rind.request('DELETE', `/auth/sessions${path}`);
      await rind.request('GET', '/auth/oauth/made-up/callback?state=made-up');
      await rind.request('GET', '/users/made-up', { token: account.accessToken });
      await send('PROPFIND', '/api/v1/made-up');
      await send('MKCALENDAR', '/made-up');
      await send('QUERY', '/made-up', '', { host: 'made-up' });
      const samples = (await read()).filter(({ name }) => name.startsWith('rind_'));
      const valuesOf = (label: string) =>
        new Set(samples.flatMap(({ labels }) => labels[label] ?? []));

      const routes = listRoutes(rind.app).map(({ path }) => path.replaceAll(/\{(\w+)\}/g, ':$1'));
      const templates = new Set([...routes, 'unknown']);
      expect([...valuesOf('route')].filter((route) => !templates.has(route))).toEqual([]);
      const known = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'other'];
      expect([...valuesOf('method')].filter((method) => !known.includes(method))).toEqual([]);
      const codes = new Set<string>([...Object.keys(errorCodes), ...warningCodes]);
      expect([...valuesOf('code')].filter((code) => !codes.has(code))).toEqual([]);
      expect(JSON.stringify(samples)).not.toContain('made-up');
      expect(
        await growthOf('rind_http_requests_total', { route: 'unknown', method: 'other' }),
      ).toBe(3);
    });
  });

  test('of the process is its version and commit', async () => {
    expect(before.find(({ name }) => name === 'rind_build_info')).toEqual({
      name: 'rind_build_info',
      labels: { version: expect.stringMatching(/^\d+\.\d+\.\d+/), commit: '0123456' },
      value: 1,
    });
  });

  test('of what is rare begins at 0, so that Prometheus sees the first rise', async () => {
    const has = (name: string, labels: Record<string, string>) =>
      before.some(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
      );
    const guessed = { action: 'sign_in_refused', reason: 'invalid_credentials' };
    expect(has('rind_audit_events_total', guessed)).toBe(true);
    const failed = { kind: 'reset_password', reason: 'unreachable' };
    expect(has('rind_mail_failures_total', failed)).toBe(true);
    expect(has('rind_mails_sent_total', { kind: 'reset_password' })).toBe(true);
    expect(has('rind_problems_total', { code: 'cross_origin_refused' })).toBe(true);
    expect(has('rind_refreshes_total', { outcome: 'reused' })).toBe(true);
    expect(has('rind_sync_large_pulls_refused_total', { reason: 'spool_full' })).toBe(true);
    expect(has('rind_sync_pulls_total', { kind: 'replacement' })).toBe(true);
    expect(has('rind_sync_repairs_total', { code: 'too_long' })).toBe(true);
    expect(has('rind_sync_rows_total', { direction: 'pushed' })).toBe(true);
  });

  test('of the database is each pool, and how long statements take', async () => {
    await rind.request('GET', '/users/me', { token: account.accessToken });
    const samples = await read();
    const limits = samples.filter(({ name }) => name === 'rind_database_connections_limit');
    expect(limits.map(({ labels, value }) => [labels['pool'], value])).toEqual([
      ['main', 10],
      ['snapshots', 5],
      ['jobs', 4],
    ]);
    expect(sumOf(samples, 'rind_database_connections', { pool: 'main' })).toBeGreaterThan(0);
    expect(sumOf(samples, 'rind_database_waiting')).toBe(0);
    expect(await growthOf('rind_database_query_seconds_count', { pool: 'main' })).toBeGreaterThan(
      0,
    );
    expect(await growthOf('rind_database_wait_seconds_count', { pool: 'main' })).toBeGreaterThan(0);
  });

  test('of sockets is who was let in, and how long a change took to be told', async () => {
    const session = await SyncSession.open(rind);
    const client = await RealtimeClient.connect(rind.url, session.account.accessToken);
    expect(await refusalOf(rind.url, 'x')).toBe('unauthenticated');
    // Changes of the session that has the socket are not told to it.
    const other = await rind.request<Account>('POST', '/auth/login', {
      body: { email: session.account.user.email, password: session.account.password },
    });
    const elsewhere = await SyncSession.open(rind, other.body);
    await elsewhere.push({ projects: { created: [{ id: 'a', name: 'A' }] } });
    await client.receive('sync:changed');
    expect(await growthOf('rind_realtime_handshakes_accepted_total')).toBe(1);
    expect(
      await growthOf('rind_realtime_handshakes_refused_total', { code: 'unauthenticated' }),
    ).toBe(1);
    expect(await growthOf('rind_realtime_latency_seconds_count')).toBeGreaterThan(0);
    expect(await growthOf('rind_realtime_latency_seconds_bucket', { le: '5' })).toBeGreaterThan(0);
    client.close();
  });

  describe('of sync', () => {
    test('is for how long changes had waited, for those who ask for what is new', async () => {
      const session = await SyncSession.open(rind);
      await session.pull();
      expect(await growthOf('rind_sync_lag_seconds_count')).toBe(0);
      await session.push({ projects: { created: [{ id: 'a', name: 'A' }] } });
      await session.pull();
      expect(await growthOf('rind_sync_lag_seconds_count')).toBe(1);
      await rind.sql.query(
        `UPDATE sync_clocks SET version = version - 7200000 WHERE user_id = $1`,
        [session.account.id],
      );
      await rind.sql.query(`UPDATE projects SET version = version - 7200000 WHERE user_id = $1`, [
        session.account.id,
      ]);
      await session.pull(`lastPulledAt=${session.cursor - 7_200_001}`);
      expect(await growthOf('rind_sync_lag_seconds_count')).toBe(2);
      expect(await growthOf('rind_sync_lag_seconds_bucket', { le: '3600' })).toBe(1);
    });

    test('has no times where a restore has moved versions into the future', async () => {
      const session = await SyncSession.open(rind);
      await session.pull();
      await rind.sql.query(`UPDATE sync_clocks SET version = version + $2 WHERE user_id = $1`, [
        session.account.id,
        DAY_MS,
      ]);
      const { body: account } = await rind.request<Account>('POST', '/auth/login', {
        body: { email: session.account.user.email, password: session.account.password },
      });
      const client = await RealtimeClient.connect(rind.url, account.accessToken);
      await session.push({ projects: { created: [{ id: 'a', name: 'A' }] } });
      await client.receive('sync:changed');
      await session.pull();
      expect(await growthOf('rind_realtime_events_total', { event: 'sync:changed' })).toBe(1);
      expect(await growthOf('rind_realtime_latency_seconds_count')).toBe(0);
      expect(await growthOf('rind_sync_pulls_total', { kind: 'incremental' })).toBe(1);
      expect(await growthOf('rind_sync_lag_seconds_count')).toBe(0);
      client.close();
    });

    test('is which records were reverted, and which left out', async () => {
      const session = await SyncSession.open(rind);
      const changes = {
        notifications: { created: [{ id: 'n1' }, { id: 'n2' }] },
        projects: { created: [{ id: 'no valid id', name: 'A' }] },
      };
      expect((await session.push(changes)).status).toBe(200);
      expect(await growthOf('rind_sync_rows_reverted_total')).toBe(2);
      expect(await growthOf('rind_sync_rows_rejected_total')).toBe(1);
    });
  });

  test('of the spool is what it may hold, and what it does', async () => {
    expect(sumOf(before, 'rind_spool_limit_bytes')).toBe(2048 * 1024 * 1024);
    expect(sumOf(before, 'rind_spools')).toBe(0);
  });
});
