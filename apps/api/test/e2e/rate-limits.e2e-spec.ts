import type { Problem } from '@rind/contracts';
import { afterEach, describe, expect, test } from '@jest/globals';
import supertest, { type Response, type Test } from 'supertest';
import { LogRecorder } from '../support/log-recorder.js';
import { type Account, TestApp, type TestAppOptions } from '../support/test-app.js';

/** Each test has instances of its own: budgets live for a minute, and no test waits for that. */
describe('rate limits', () => {
  const running: TestApp[] = [];

  afterEach(async () => {
    // The last one first: the database belongs to the first.
    for (const rind of running.splice(0).toReversed()) await rind.stop();
  });

  async function start(env: Record<string, string>, options: TestAppOptions = {}) {
    const rind = await TestApp.start({ ...options, env });
    running.push(rind);
    return rind;
  }

  const me = (rind: TestApp, token?: string): Test =>
    supertest(rind.url)
      .get('/api/v1/users/me')
      .set(token === undefined ? {} : { authorization: `Bearer ${token}` });
  const pull = (rind: TestApp, { accessToken }: Account): Test =>
    supertest(rind.url).get('/api/v1/sync/pull').auth(accessToken, { type: 'bearer' });
  const push = (rind: TestApp, { accessToken }: Account): Test =>
    supertest(rind.url)
      .post('/api/v1/sync/push')
      .auth(accessToken, { type: 'bearer' })
      .send({ changes: {}, lastPulledAt: null });
  const login = (
    rind: TestApp,
    email = 'nobody@example.com',
    password = 'not the right one',
  ): Test => supertest(rind.url).post('/api/v1/auth/login').send({ email, password });

  /** Another device of the same user. */
  async function signInAgain(rind: TestApp, { user, password }: Account): Promise<Account> {
    const { body } = await login(rind, user.email, password).expect(200);
    return { ...(body as Account), id: user.id, password };
  }

  /** Allowed as often as the budget says, with its headers; then refused, with a problem. */
  async function expectBudget(name: string, limit: number, send: () => Test): Promise<void> {
    for (let left = limit - 1; left >= 0; left -= 1) expectAllowed(await send(), name, limit, left);
    expectRefused(await send(), name, limit);
  }

  function expectAllowed(response: Response, name: string, limit: number, left: number): void {
    expect(response.status).not.toBe(429);
    expect(response.headers['ratelimit-policy']).toBe(`"${name}";q=${limit};w=60`);
    expect(response.headers['ratelimit']).toMatch(
      new RegExp(`^"${name}";r=${left};t=([1-9]|[1-5]\\d|60)$`),
    );
    expect(response.headers['retry-after']).toBeUndefined();
  }

  function expectRefused(response: Response, name: string, limit: number): void {
    expect(response.status).toBe(429);
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(response.headers['ratelimit-policy']).toBe(`"${name}";q=${limit};w=60`);
    const seconds = Number(response.headers['retry-after']);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(response.headers['ratelimit']).toBe(`"${name}";r=0;t=${seconds}`);
    const problem = response.body as Problem;
    expect(problem).toMatchObject({
      code: 'rate_limited',
      status: 429,
      requestId: response.headers['x-request-id'],
    });
  }

  test('without a token: by address, whatever the route', async () => {
    const rind = await start({ RATE_LIMIT_ANON_PER_MINUTE: '3' });
    await expectBudget('anonymous', 3, () => me(rind));
    const refresh = supertest(rind.url).post('/api/v1/auth/refresh').send({ refreshToken: 'x' });
    expectRefused(await refresh, 'anonymous', 3);
  });

  test('tokens that are not valid are no way around it, and valid ones do not suffer', async () => {
    const rind = await start({ RATE_LIMIT_ANON_PER_MINUTE: '2' });
    const ada = await rind.signUp();
    await rind.sql.query('DELETE FROM sessions');
    const tokens = ['a.b.c', 'e30.e30.x', ada.accessToken];
    expectAllowed(await me(rind, tokens[0]), 'anonymous', 2, 1);
    expectAllowed(await me(rind, tokens[1]), 'anonymous', 2, 0);
    for (const token of tokens) expectRefused(await me(rind, token), 'anonymous', 2);
    const again = await signInAgain(rind, ada);
    await me(rind, again.accessToken).expect(200);
  });

  test('signed in: by user and device', async () => {
    const rind = await start({ RATE_LIMIT_USER_PER_MINUTE: '2' });
    const ada = await rind.signUp();
    await expectBudget('user', 2, () => me(rind, ada.accessToken));
    const tablet = await signInAgain(rind, ada);
    await expectBudget('user', 2, () => me(rind, tablet.accessToken));
    const bob = await rind.signUp();
    await expectBudget('user', 2, () => me(rind, bob.accessToken));
  });

  test('a device cannot choose its budget: new tokens of a session are the same device', async () => {
    const rind = await start({ RATE_LIMIT_USER_PER_MINUTE: '1' });
    const ada = await rind.signUp();
    await me(rind, ada.accessToken).expect(200);
    const { data } = await rind.api.refresh({
      body: { refreshToken: ada.refreshToken },
      throwOnError: true,
    });
    expect(data.accessToken).not.toBe(ada.accessToken);
    expectRefused(await me(rind, data.accessToken), 'user', 1);
  });

  test('sync: pull and push together by device, apart from everything else', async () => {
    const rind = await start({ RATE_LIMIT_SYNC_PER_MINUTE: '2', RATE_LIMIT_USER_PER_MINUTE: '1' });
    const ada = await rind.signUp();
    await me(rind, ada.accessToken).expect(200);
    expectAllowed(await pull(rind, ada), 'sync', 2, 1);
    expectAllowed(await push(rind, ada), 'sync', 2, 0);
    expectRefused(await pull(rind, ada), 'sync', 2);
    expectRefused(await push(rind, ada), 'sync', 2);
    expectRefused(await me(rind, ada.accessToken), 'user', 1);
    const tablet = await signInAgain(rind, ada);
    expectAllowed(await pull(rind, tablet), 'sync', 2, 1);
  });

  test('sync without a token: the anonymous budget', async () => {
    const rind = await start({ RATE_LIMIT_ANON_PER_MINUTE: '1' });
    await expectBudget('anonymous', 1, () => supertest(rind.url).get('/api/v1/sync/pull'));
  });

  test('sign-in and registration: by address, exact across instances, also when all come at once', async () => {
    const env = { RATE_LIMIT_AUTH_PER_MINUTE: '10' };
    const first = await start(env);
    const second = await start(env, { database: first.database });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => login(n % 2 === 0 ? first : second)),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(refused).toHaveLength(30);
    expectRefused(refused[0]!, 'auth', 10);
    const register = supertest(second.url)
      .post('/api/v1/auth/register')
      .send({ email: 'ada@example.com', password: 'correct horse', displayName: 'Ada' });
    expectRefused(await register, 'auth', 10);
    const { rows } = await first.sql.query('SELECT FROM users');
    expect(rows).toHaveLength(0);
  });

  test('a right password does not open a refused sign-in, and a bearer token is no way around it', async () => {
    const rind = await start({ RATE_LIMIT_AUTH_PER_MINUTE: '2' });
    const { user, password, accessToken } = await rind.signUp();
    expectAllowed(await login(rind), 'auth', 2, 0);
    expectRefused(await login(rind, user.email, password), 'auth', 2);
    expectRefused(await login(rind).auth(accessToken, { type: 'bearer' }), 'auth', 2);
    await me(rind, accessToken).expect(200);
  });

  test('refreshing: by session, after the token was recognised', async () => {
    const rind = await start({});
    const ada = await rind.signUp();
    const refresh = (refreshToken: string) =>
      supertest(rind.url).post('/api/v1/auth/refresh').send({ refreshToken });
    const forged = `${ada.refreshToken.slice(0, -6)}AAAAAA`;
    for (let count = 0; count < 15; count += 1) await refresh(forged).expect(401);
    for (let count = 0; count < 10; count += 1) await refresh(ada.refreshToken).expect(200);
    const refused = await refresh(ada.refreshToken).expect(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('0 is no limit, and no headers', async () => {
    const rind = await start({
      RATE_LIMIT_ANON_PER_MINUTE: '0',
      RATE_LIMIT_USER_PER_MINUTE: '0',
      RATE_LIMIT_SYNC_PER_MINUTE: '0',
      RATE_LIMIT_AUTH_PER_MINUTE: '0',
    });
    const ada = await rind.signUp();
    const requests = [
      () => me(rind),
      () => me(rind, ada.accessToken),
      () => pull(rind, ada),
      () => login(rind),
    ];
    for (const send of [...requests, ...requests, ...requests]) {
      const { status, headers } = await send();
      expect(status).not.toBe(429);
      expect(Object.keys(headers).filter((name) => name.startsWith('ratelimit'))).toEqual([]);
    }
  });

  test('health and the document are exempt', async () => {
    const rind = await start({ RATE_LIMIT_ANON_PER_MINUTE: '1' });
    await me(rind);
    expectRefused(await me(rind), 'anonymous', 1);
    for (const path of ['health', 'health/live', 'health/ready', 'openapi.json']) {
      for (let count = 0; count < 3; count += 1) {
        const { status, headers } = await supertest(rind.url).get(`/api/v1/${path}`);
        expect(status).not.toBe(429);
        expect(headers['ratelimit']).toBeUndefined();
      }
    }
  });

  test('a refusal is in the log as a request, and not as an error', async () => {
    const rind = await start({ RATE_LIMIT_ANON_PER_MINUTE: '1' });
    const log = new LogRecorder();
    await me(rind);
    await me(rind);
    expect(log.lines).toMatchObject([
      { msg: 'Request answered', status: 401 },
      { msg: 'Request answered', status: 429, level: 'info' },
    ]);
  });
});
