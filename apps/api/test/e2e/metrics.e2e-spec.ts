import { randomUUID } from 'node:crypto';
import type { AuthResult, MfaRequired, Problem } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SpoolLimits } from '../../src/platform/spool/spools.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { Authenticator } from '../support/authenticator.js';
import { LogRecorder } from '../support/log-recorder.js';
import { untilBlocked } from '../support/seams.js';
import { SyncSession } from '../support/sync-session.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';

const METRICS_TOKEN = 'the-token+of/this.test~01==';

describe('metrics', () => {
  let rind: TestApp;

  beforeAll(async () => {
    rind = await TestApp.start({
      env: { METRICS_TOKEN, LOG_LEVEL: 'fatal', RATE_LIMIT_ANON_PER_MINUTE: '1' },
    });
  });
  afterAll(() => rind.stop());

  const get = (authorization?: string, { url } = rind) =>
    fetch(`${url}/metrics`, { ...(authorization && { headers: { authorization } }) });

  /** All of our own, by name and labels as they are written. */
  async function read(instance = rind): Promise<Map<string, number>> {
    const text = await (await get(`Bearer ${METRICS_TOKEN}`, instance)).text();
    return new Map(
      Array.from(
        text.matchAll(/^rind_(?!\S+_(?:bucket|count|sum))(\S+) (\d+)$/gm),
        ([, name, value]) => [name!, Number(value)],
      ),
    );
  }

  /** What is counted under names that begin so, by default of sync, while the work is done. */
  async function counted(work: () => Promise<unknown>, instance = rind, names = /^sync_/) {
    const before = await read(instance);
    await work();
    const after = [...(await read(instance))];
    return Object.fromEntries(
      after
        .map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
        .filter(([name, difference]) => names.test(name) && difference > 0)
        .map(([name, difference]) => [name.replace('sync_', ''), difference]),
    );
  }

  describe('are given', () => {
    test('in the format of Prometheus, with those of the process', async () => {
      const response = await get(`Bearer ${METRICS_TOKEN}`);
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        expect.stringMatching(/^text\/plain; version=0\.0\.4/),
      ]);
      expect(await response.text()).toMatch(/^process_cpu_seconds_total \d/m);
    });

    test.each([
      undefined,
      'Bearer',
      'Bearer wrong',
      `Bearer ${METRICS_TOKEN}x`,
      `Bearer ${METRICS_TOKEN.slice(1)}`,
      `Basic ${METRICS_TOKEN}`,
    ])('to nobody else: %j', async (authorization) => {
      const response = await get(authorization);
      expect(await response.json()).toMatchObject({ status: 401, code: 'unauthenticated' });
    });

    test('to no user', async () => {
      const { accessToken } = await rind.signUp();
      expect((await get(`Bearer ${accessToken}`)).status).toBe(401);
    });

    test('by nobody who has no token configured: there is no such route', async () => {
      const without = await TestApp.start({ database: rind.database });
      const responses = await Promise.all([get('Bearer ', without), get(undefined, without)]);
      await without.stop();
      expect(responses.map(({ status }) => status)).toEqual([404, 404]);
    });

    test('without a limit, and without a line in the log but for those who are refused', async () => {
      const log = new LogRecorder();
      for (let n = 0; n < 5; n += 1) {
        expect((await get(`Bearer ${METRICS_TOKEN}`)).status).toBe(200);
      }
      expect(log.lines).toEqual([]);
      await get('Bearer wrong');
      expect(log.find('Request answered')).toMatchObject([{ route: '/metrics', status: 401 }]);
      expect(log.text).not.toContain(METRICS_TOKEN);
    });
  });

  describe('are given sooner than requests give up, without those of the queue', () => {
    const queue = /^rind_jobs_(?:waiting|running|failed|oldest_due_seconds) \d/m;
    const scrape = async (instance = rind) =>
      (await get(`Bearer ${METRICS_TOKEN}`, instance)).text();

    /** Without what cannot be read, though a request that came before still waits for it. */
    async function expectSooner(request: Promise<unknown>, instance = rind): Promise<void> {
      const late = request.then(() => 'A request has given up');
      const text = await Promise.race([scrape(instance), late]);
      expect(text).toMatch(/^rind_build_info/m);
      expect(text).not.toMatch(queue);
    }

    test('while its table is locked', async () => {
      const { user } = await rind.signUp();
      expect(await scrape()).toMatch(queue);
      const admin = await rind.sql.connect();
      await admin.query('BEGIN');
      await admin.query('LOCK graphile_worker._private_jobs');
      const { email } = user;
      const request = rind.request('POST', '/auth/password/forgot', { body: { email } });
      await untilBlocked(rind.sql, request);
      await expectSooner(request);
      await admin.query('ROLLBACK');
      admin.release();
      expect((await request).status).toBe(202);
      expect(await scrape()).toMatch(queue);
    });

    test('while the database says nothing', async () => {
      const { accessToken: token } = await rind.signUp();
      const wire = await TcpProxy.start(rind.database.url);
      const behind = await TestApp.start({
        database: rind.database,
        env: { METRICS_TOKEN, LOG_LEVEL: 'fatal', DATABASE_URL: wire.url, WORKER: 'off' },
      });
      expect(await scrape(behind)).toMatch(queue);
      wire.freeze();
      const request = behind.request('GET', '/users/me', { token });
      await expectSooner(request, behind);
      wire.pass();
      await wire.close();
      await request;
      await behind.stop();
    });
  });

  describe('of pulls', () => {
    test('tell kinds and rows', async () => {
      const session = await SyncSession.open(rind);
      expect(await counted(() => session.pull())).toEqual({ 'pulls_total{kind="nothing_new"}': 1 });
      await session.push({ projects: { created: [{ id: 'a', name: 'A' }] } });
      const incremental = await counted(() => session.pull());
      expect(incremental).toEqual({
        'pulls_total{kind="incremental"}': 1,
        'rows_total{direction="pulled"}': 1,
      });
      const first = await counted(() => session.pull('lastPulledAt='));
      expect(first).toMatchObject({ 'pulls_total{kind="first"}': 1 });
      const migration = encodeURIComponent('{"from":1,"tables":["projects"],"columns":[]}');
      const migrated = await counted(() =>
        session.pull(`lastPulledAt=${session.cursor}&migration=${migration}`),
      );
      expect(migrated).toMatchObject({ 'pulls_total{kind="migration"}': 1 });
      await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [
        session.account.id,
      ]);
      const replaced = await counted(() => session.pull(`lastPulledAt=${session.cursor - 1}`));
      expect(replaced).toMatchObject({ 'pulls_total{kind="replacement"}': 1 });
    });

    test('count cursors ahead of the clock (rule 5)', async () => {
      const session = await SyncSession.open(rind);
      const ahead = await counted(() => session.pull(`lastPulledAt=${session.cursor + 1000}`));
      expect(ahead).toEqual({ cursors_ahead_total: 1, 'pulls_total{kind="incremental"}': 1 });
    });

    test.each([
      ['the largest that there is', () => Number.MAX_SAFE_INTEGER],
      ['one of the day after tomorrow', (cursor: number) => cursor + 3 * 86_400_000],
    ])('do not count cursors that no database can have given: %s (rule 5)', async (_, choose) => {
      const session = await SyncSession.open(rind);
      const cursor = choose(session.cursor);
      const ahead = await counted(() => session.pull(`lastPulledAt=${cursor}`));
      expect(ahead).toEqual({ 'pulls_total{kind="incremental"}': 1 });
    });

    test('count the rows of large ones, and those that are refused', async () => {
      const session = await SyncSession.open(rind);
      const count = SMALL_PULL_ROWS + 100;
      const created = Array.from({ length: count }, (_, n) => ({
        id: `p${n}`,
        name: 'two\nlines',
      }));
      await session.push({ projects: { created } });
      expect(await counted(() => session.pull('lastPulledAt='))).toEqual({
        'pulls_total{kind="first"}': 1,
        // And the greeting of a new account.
        'rows_total{direction="pulled"}': count + 1,
      });
      const limits = rind.app.get(SpoolLimits);
      Object.assign(limits, { bytesPerProcess: 0 });
      const token = session.account.accessToken;
      const refused = await counted(() => rind.request('GET', '/sync/pull', { token }));
      Object.assign(limits, new SpoolLimits());
      expect(refused).toMatchObject({ 'large_pulls_refused_total{reason="spool_full"}': 1 });
      expect(refused).not.toHaveProperty(['pulls_total{kind="first"}']);
    });
  });

  describe('of pushes', () => {
    test('tell outcomes, rows, conflicts and repairs', async () => {
      const session = await SyncSession.open(rind);
      const create = { projects: { created: [{ id: 'a', name: 'A' }], deleted: ['b'] } };
      expect(await counted(() => session.push(create))).toEqual({
        'pushes_total{outcome="applied"}': 1,
        'rows_total{direction="pushed"}': 1,
      });
      // The cursor is the one from before.
      const update = { projects: { updated: [{ id: 'a', name: 'B' }] } };
      expect(await counted(() => session.push(update, null))).toEqual({
        'pushes_total{outcome="sync_conflict"}': 1,
        conflicts_total: 1,
      });
      const imperfect = {
        projects: { created: [{ id: 'c', name: 7, nonsense: 1, rubbish: 2 }] },
        nothing: { created: [{ id: 'd' }] },
      };
      expect(await counted(() => session.push(imperfect))).toEqual({
        'pushes_total{outcome="applied"}': 1,
        'rows_total{direction="pushed"}': 1,
        'repairs_total{code="unknown_column"}': 2,
        'repairs_total{code="unknown_table"}': 1,
        'repairs_total{code="wrong_type"}': 1,
      });
    });

    test('count what strict mode refuses', async () => {
      const strict = await TestApp.start({
        database: rind.database,
        env: { METRICS_TOKEN, SYNC_STRICT: 'true' },
      });
      const session = await SyncSession.open(strict, await rind.signUp());
      const imperfect = { projects: { created: [{ id: 'c', name: 7 }] } };
      const refused = await counted(() => session.push(imperfect), strict);
      await strict.stop();
      expect(refused).toEqual({
        'pushes_total{outcome="sync_content_refused"}': 1,
        'repairs_total{code="wrong_type"}': 1,
      });
    });
  });

  describe('of accounts', () => {
    let open: TestApp;

    beforeAll(async () => {
      open = await TestApp.start({
        database: rind.database,
        env: { METRICS_TOKEN, LOG_LEVEL: 'fatal', RATE_LIMIT_AUTH_PER_MINUTE: '40' },
      });
    });
    afterAll(() => open.stop());

    // Mails are sent, and counted, at any time.
    const names = /^(audit_events|second_factors|refreshes|problems|rate_limit_refusals)_total/;
    const count = (work: () => Promise<unknown>) => counted(work, open, names);
    const login = (email: string, password: string, device?: object) =>
      open.request<AuthResult & MfaRequired>('POST', '/auth/login', {
        body: { email, password, device },
      });
    const refresh = (refreshToken: string) =>
      open.request<AuthResult>('POST', '/auth/refresh', { body: { refreshToken } });
    const newPerson = () => ({ email: `${randomUUID()}@example.com`, password: 'a new password' });
    const register = (person: object) =>
      open.request<AuthResult & Problem>('POST', '/auth/register', {
        body: { ...person, displayName: 'Ada' },
      });

    test('tell registrations, sign-ins and refusals', async () => {
      const person = newPerson();
      expect(await count(() => register(person))).toEqual({
        'audit_events_total{action="registered",reason="none"}': 1,
        'audit_events_total{action="signed_in",reason="password"}': 1,
      });
      expect(await count(() => register(person))).toEqual({
        'problems_total{code="email_already_used"}': 1,
      });
      expect(await count(() => login(person.email, person.password))).toEqual({
        'audit_events_total{action="signed_in",reason="password"}': 1,
      });
      const refused = {
        'audit_events_total{action="sign_in_refused",reason="invalid_credentials"}': 1,
        'problems_total{code="invalid_credentials"}': 1,
      };
      expect(await count(() => login(person.email, 'not the password'))).toEqual(refused);
      expect(await count(() => login(newPerson().email, 'whatever it is'))).toEqual(refused);
    });

    test('tell second factors', async () => {
      const { body } = await register(newPerson());
      const account = { ...body, id: body.user.id } as unknown as Account;
      const { recoveryCodes } = await Authenticator.enrol(open, account);
      const { mfaToken } = (await login(body.user.email, 'a new password')).body;
      const verify = (code: string) =>
        open.request('POST', '/auth/mfa/verify', { body: { mfaToken, code } });
      expect(await count(() => verify('not a code at all'))).toMatchObject({
        'audit_events_total{action="sign_in_refused",reason="mfa_code_invalid"}': 1,
      });
      expect(await count(() => verify(recoveryCodes[0]!))).toEqual({
        'audit_events_total{action="signed_in",reason="password"}': 1,
        'second_factors_total{factor="recovery_code"}': 1,
      });
    });

    test('tell refreshes, and how sessions end', async () => {
      const { body: first } = await register(newPerson());
      let second: AuthResult | undefined;
      const rotated = await count(async () => {
        second = (await refresh(first.refreshToken!)).body;
      });
      expect(rotated).toEqual({ 'refreshes_total{outcome="rotated"}': 1 });
      expect(await count(() => refresh(first.refreshToken!))).toEqual({
        'refreshes_total{outcome="repeated"}': 1,
      });
      await refresh(second!.refreshToken!);
      expect(await count(() => refresh(first.refreshToken!))).toEqual({
        'refreshes_total{outcome="reused"}': 1,
        'audit_events_total{action="session_ended",reason="reuse"}': 1,
        'problems_total{code="refresh_token_reused"}': 1,
      });
      const { body: other } = await register(newPerson());
      const token = other.accessToken!;
      expect(await count(() => open.request('POST', '/auth/logout', { token }))).toEqual({
        'audit_events_total{action="session_ended",reason="logout"}': 1,
      });
    });

    test('tell stale tokens and foreign origins', async () => {
      const stale = { token: 'x'.repeat(60) };
      expect(
        await count(() => open.request('POST', '/auth/email/verify', { body: stale })),
      ).toEqual({ 'problems_total{code="mail_token_invalid"}': 1 });
      const headers = { cookie: '__Host-rind_access=x', origin: 'https://evil.example' };
      expect(await count(() => open.request('POST', '/auth/logout', { headers }))).toEqual({
        'problems_total{code="cross_origin_refused"}': 1,
      });
    });

    test('tell which budget was used up', async () => {
      const attempt = () => login(newPerson().email, 'not the password');
      while ((await attempt()).status !== 429);
      expect(await count(attempt)).toEqual({
        'problems_total{code="rate_limited"}': 1,
        'rate_limit_refusals_total{budget="auth"}': 1,
      });
    });

    test('nothing that somebody typed is a label', async () => {
      const typed = `typed-${randomUUID()}`;
      await login(`${typed}@example.com`, 'not the password', { id: randomUUID(), name: typed });
      await open.request('GET', `/auth/oauth/${typed}/callback?error=${typed}`);
      expect([...(await read(open)).keys()].join()).not.toContain(typed);
    });
  });
});
