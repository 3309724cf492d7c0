import { randomUUID } from 'node:crypto';
import type { AuthResult, Problem, SessionList } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { PrincipalsService } from '../../src/auth/principals.service.js';
import { settle } from '../support/notices.js';
import { type Account, TestApp } from '../support/test-app.js';

const JWT_SECRET = 'a secret of at least thirty-two characters';
const APP = 'https://app.example.com';
const FOREIGN = 'https://evil.example.com';
const PASSWORD = 'correct horse battery';
const IN_COOKIES = { 'x-token-transport': 'cookie' };
const ACCESS = '__Host-rind_access';
const REFRESH = '__Secure-rind_refresh';

let rind: TestApp;

beforeAll(async () => {
  rind = await TestApp.start({ env: { JWT_SECRET, CORS_ORIGINS: APP } });
});
afterAll(() => rind.stop());

test('A misspelt transport is refused, so that no token comes where scripts read it', async () => {
  const body = { email: 'misspelt@example.com', password: PASSWORD, displayName: 'M' };
  for (const transport of ['cookies', 'Cookie', '', 'cookie, cookie', 'bearer']) {
    const headers = { 'x-token-transport': transport };
    const refused = await rind.request('POST', '/auth/register', { body, headers });
    expect([refused.status, refused.body.code]).toEqual([400, 'malformed_request']);
    expect(refused.body.detail).toBe('X-Token-Transport can only be "cookie"');
  }
});

interface Cookie {
  readonly value: string;
  /** Without `Max-Age`, in lower case. */
  readonly attributes: readonly string[];
  readonly maxAge: number;
}

function cookiesOf(headers: Headers): Record<string, Cookie> {
  return Object.fromEntries(
    headers.getSetCookie().map((line) => {
      const [pair = '', ...attributes] = line.split('; ');
      const [name = '', value = ''] = pair.split('=');
      const maxAge = attributes.find((text) => /^max-age=/i.test(text));
      const others = attributes.filter((text) => !/^(max-age|expires)=/i.test(text));
      return [
        name,
        {
          value,
          attributes: others.map((text) => text.toLowerCase()).toSorted(),
          maxAge: Number(maxAge?.split('=')[1]),
        },
      ];
    }),
  );
}

/** A browser that is signed in: what its `Cookie` header says where. */
interface Browser {
  readonly account: AuthResult;
  readonly email: string;
  /** To any route but those of `/auth`. */
  readonly cookie: string;
  /** To `/auth`. */
  readonly cookies: string;
  readonly tokens: { readonly access: string; readonly refresh: string };
}

type Answer = { headers: Headers; body: AuthResult };

function browserOf({ headers, body }: Answer): Browser {
  const set = cookiesOf(headers);
  const tokens = { access: set[ACCESS]!.value, refresh: set[REFRESH]!.value };
  const cookie = `${ACCESS}=${tokens.access}`;
  const cookies = `${cookie}; ${REFRESH}=${tokens.refresh}`;
  return { account: body, email: body.user.email, cookie, cookies, tokens };
}

async function signUp(at = rind): Promise<Browser> {
  const answer = await at.request<AuthResult>('POST', '/auth/register', {
    body: { email: `${randomUUID()}@example.com`, password: PASSWORD, displayName: 'Ada' },
    headers: IN_COOKIES,
  });
  expect(answer.status).toBe(201);
  return browserOf(answer);
}

const refresh = (browser: Pick<Browser, 'cookies'>, headers: Record<string, string> = {}) =>
  rind.request<AuthResult & Problem>('POST', '/auth/refresh', {
    headers: { cookie: browser.cookies, ...IN_COOKIES, ...headers },
  });

const getMe = (headers: Record<string, string>) =>
  rind.request<AuthResult['user'] & Problem>('GET', '/users/me', { headers });

const outcomeOf = ({ status, body }: { status: number; body: Problem }) => [status, body?.code];

describe('a browser that asks for cookies', () => {
  const secured = ['httponly', 'samesite=lax', 'secure'];

  test.each(['register', 'login', 'refresh'])(
    'gets its tokens in cookies, and none in the answer: %s',
    async (route) => {
      const browser = await signUp();
      const answer = await rind.request<AuthResult>('POST', `/auth/${route}`, {
        headers: { ...IN_COOKIES, ...(route === 'refresh' && { cookie: browser.cookies }) },
        ...(route !== 'refresh' && {
          body: {
            email: route === 'login' ? browser.email : `${randomUUID()}@example.com`,
            password: PASSWORD,
            displayName: 'Ada',
          },
        }),
      });
      const { user, session } = answer.body;
      expect(answer.body).toEqual({ user, session, accessTokenExpiresAt: expect.any(String) });
      const set = cookiesOf(answer.headers);
      expect(Object.keys(set)).toEqual([ACCESS, REFRESH]);
      expect(set[ACCESS]!.attributes).toEqual([...secured, 'path=/'].toSorted());
      expect(set[REFRESH]!.attributes).toEqual([...secured, 'path=/api/v1/auth'].toSorted());
      const { tokens } = browserOf(answer);
      expect(JSON.stringify(answer.body)).not.toContain(tokens.refresh);
      // As long as the session, which is 30 days.
      for (const { maxAge } of Object.values(set)) {
        expect(maxAge).toBeGreaterThan(30 * 86_400 - 60);
        expect(maxAge).toBeLessThanOrEqual(30 * 86_400);
      }
      expect((await getMe({ cookie: `${ACCESS}=${tokens.access}` })).body).toEqual(user);
    },
  );

  test('without the header gets no cookie, also when it carries some', async () => {
    const browser = await signUp();
    const { headers, body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: browser.email, password: PASSWORD },
      headers: { cookie: browser.cookies },
    });
    expect(headers.getSetCookie()).toEqual([]);
    expect(body).toMatchObject({
      accessToken: expect.any(String),
      refreshToken: expect.any(String),
    });
  });

  test('a refusal sets none', async () => {
    const { status, headers } = await rind.request('POST', '/auth/login', {
      body: { email: 'nobody@example.com', password: PASSWORD },
      headers: IN_COOKIES,
    });
    expect([status, headers.getSetCookie()]).toEqual([401, []]);
  });
});

describe('a request with the cookie', () => {
  test('is that of the user, for reading, changing and a push', async () => {
    const { cookie, account } = await signUp();
    const headers = { cookie };
    expect((await getMe(headers)).body.id).toBe(account.user.id);
    const push = await rind.request('POST', '/sync/push', {
      headers,
      body: { changes: { projects: { created: [{ id: 'p1', name: 'A' }] } }, lastPulledAt: null },
    });
    expect(push.status).toBe(200);
    const { rowCount } = await rind.sql.query('SELECT FROM projects WHERE user_id = $1', [
      account.user.id,
    ]);
    expect(rowCount).toBe(1);
  });

  test('is answered from the principal cache, and no longer when the session ends', async () => {
    const { cookie, tokens, account } = await signUp();
    await settle(rind);
    await getMe({ cookie });
    expect(rind.app.get(PrincipalsService).findCached(tokens.access)).toMatchObject({
      sessionId: account.session.id,
    });
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [account.session.id]);
    await settle(rind);
    expect(outcomeOf(await getMe({ cookie }))).toEqual([401, 'session_ended']);
  });

  test('counts against the budget of its user, not of its address', async () => {
    const limited = await TestApp.start({
      env: { JWT_SECRET, RATE_LIMIT_USER_PER_MINUTE: '2', RATE_LIMIT_ANON_PER_MINUTE: '50' },
      database: rind.database,
    });
    try {
      const [one, two] = [await signUp(), await signUp()];
      const ask = async ({ cookie }: Browser) =>
        (await limited.request('GET', '/users/me', { headers: { cookie } })).status;
      expect([await ask(one), await ask(one), await ask(one)]).toEqual([200, 200, 429]);
      expect(await ask(two)).toBe(200);
    } finally {
      await limited.stop();
    }
  });

  test('is told when the token in it has expired', async () => {
    const { tokens } = await signUp();
    const { iat: _iat, exp: _exp, ...claims } = jwt.decode(tokens.access) as jwt.JwtPayload;
    const expired = jwt.sign(claims, JWT_SECRET, { expiresIn: -1 });
    const cookie = `${ACCESS}=${expired}`;
    expect(outcomeOf(await getMe({ cookie }))).toEqual([401, 'access_token_expired']);
    const push = await rind.request('POST', '/sync/push', { headers: { cookie }, body: {} });
    expect(outcomeOf(push)).toEqual([401, 'access_token_expired']);
  });

  test.each([
    ['the name without its prefix', ({ access }: Browser['tokens']) => `rind_access=${access}`],
    ['a refresh token', ({ refresh: token }: Browser['tokens']) => `${ACCESS}=${token}`],
    ['nothing', () => `${ACCESS}=`],
    ['trailing data', ({ access }: Browser['tokens']) => `${ACCESS}=${access}.x`],
  ])('is nobody with %s in it', async (_name, cookieOf) => {
    const { tokens } = await signUp();
    expect(outcomeOf(await getMe({ cookie: cookieOf(tokens) }))).toEqual([401, 'unauthenticated']);
  });
});

describe('with an Authorization header', () => {
  test('cookies are ignored, whoever they belong to', async () => {
    const [browser, bearer] = [await signUp(), await rind.signUp()];
    const authorization = `Bearer ${bearer.accessToken}`;
    const { cookie } = browser;
    expect((await getMe({ cookie, authorization })).body.id).toBe(bearer.id);
    for (const useless of ['Bearer x', 'Basic eDp5', '']) {
      const answer = await getMe({ cookie, authorization: useless });
      expect(outcomeOf(answer)).toEqual([401, 'unauthenticated']);
    }
  });

  test('the cookie of a refresh, too', async () => {
    const { cookies } = await signUp();
    const answer = await refresh({ cookies }, { authorization: 'Bearer x' });
    expect(outcomeOf(answer)).toEqual([401, 'refresh_token_invalid']);
  });

  test('a logout leaves the cookies of another session alone', async () => {
    const [browser, bearer] = [await signUp(), await rind.signUp()];
    const { status, headers } = await rind.request('POST', '/auth/logout', {
      token: bearer.accessToken,
      headers: { cookie: browser.cookies },
    });
    expect([status, headers.getSetCookie()]).toEqual([204, []]);
    expect((await getMe({ cookie: browser.cookie })).status).toBe(200);
  });
});

describe('refreshing', () => {
  test('rotates the token in the cookie, also when the answer was lost', async () => {
    const browser = await signUp();
    const lost = browserOf(await refresh(browser));
    const second = browserOf(await refresh(browser));
    expect(second.tokens.refresh).toBe(lost.tokens.refresh);
    expect(second.tokens.refresh).not.toBe(browser.tokens.refresh);
    const third = browserOf(await refresh(second));
    expect((await getMe({ cookie: third.cookie })).status).toBe(200);
    expect(outcomeOf(await refresh(browser))).toEqual([401, 'refresh_token_reused']);
  });

  test('a token in the body moves into cookies, and is taken before the one in the cookie', async () => {
    const [browser, native] = [await signUp(), await rind.signUp()];
    const answer = await rind.request<AuthResult>('POST', '/auth/refresh', {
      body: { refreshToken: native.refreshToken },
      headers: { ...IN_COOKIES, cookie: browser.cookies },
    });
    expect(answer.body.user.id).toBe(native.id);
    expect((await getMe({ cookie: browserOf(answer).cookie })).body.id).toBe(native.id);
  });

  test('a script gets no readable token for the one in the cookie', async () => {
    const { cookies } = await signUp();
    for (const body of [{}, undefined]) {
      const answer = await rind.request('POST', '/auth/refresh', {
        headers: { cookie: cookies },
        ...(body && { body }),
      });
      expect(outcomeOf(answer)).toEqual([422, 'validation_failed']);
      expect(answer.body.errors).toMatchObject([{ pointer: '/refreshToken' }]);
    }
  });

  test('without a cookie the sign-in is over', async () => {
    const answer = await refresh({ cookies: 'theme=dark' });
    expect(outcomeOf(answer)).toEqual([401, 'refresh_token_invalid']);
  });
});

describe('the end of the session', () => {
  const expectCleared = (headers: Headers) => {
    const set = cookiesOf(headers);
    expect(set).toMatchObject({
      [ACCESS]: { value: '', maxAge: 0, attributes: expect.arrayContaining(['path=/', 'secure']) },
      [REFRESH]: {
        value: '',
        maxAge: 0,
        attributes: expect.arrayContaining(['path=/api/v1/auth']),
      },
    });
  };

  test('logging out clears the cookies', async () => {
    const { cookies } = await signUp();
    const { status, headers } = await rind.request('POST', '/auth/logout', {
      headers: { cookie: cookies },
    });
    expect(status).toBe(204);
    expectCleared(headers);
    expect(outcomeOf(await refresh({ cookies }))).toEqual([401, 'refresh_token_invalid']);
  });

  test('so does ending it in the list, and ending another one does not', async () => {
    const { cookies, account, email } = await signUp();
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email, password: PASSWORD },
    });
    const end = (id: string) =>
      rind.request('DELETE', `/auth/sessions/${id}`, { headers: { cookie: cookies } });
    expect((await end(body.session.id)).headers.getSetCookie()).toEqual([]);
    const list = await rind.request<SessionList>('GET', '/auth/sessions', {
      headers: { cookie: cookies },
    });
    expect(list.body.items).toMatchObject([{ id: account.session.id, current: true }]);
    expectCleared((await end(account.session.id)).headers);
  });
});

describe('a page of another origin', () => {
  const crossSite = { 'sec-fetch-site': 'cross-site' };

  async function update(headers: Record<string, string>) {
    const body = { changes: {}, lastPulledAt: null };
    return outcomeOf(await rind.request('POST', '/sync/push', { headers, body }));
  }
  const REFUSED = [403, 'cross_origin_refused'];
  const DONE = [200, undefined];

  test.each<[string, Record<string, string>]>([
    ['by its fetch metadata', crossSite],
    ['on a neighbouring subdomain', { 'sec-fetch-site': 'same-site', origin: FOREIGN }],
    ['by its origin', { origin: FOREIGN }],
    ['without an origin to name', { origin: 'null' }],
    ['that looks like a trusted one', { origin: `${APP}.evil.com` }],
  ])('changes nothing with the cookies of a user: %s', async (_name, headers) => {
    const { cookie, cookies } = await signUp();
    expect(await update({ ...headers, cookie })).toEqual(REFUSED);
    expect(outcomeOf(await refresh({ cookies }, headers))).toEqual(REFUSED);
    for (const [method, path] of [
      ['POST', '/auth/logout'],
      ['DELETE', '/auth/sessions'],
      ['POST', '/nowhere'],
    ] as const) {
      const answer = await rind.request(method, path, { headers: { ...headers, cookie } });
      expect(outcomeOf(answer)).toEqual(REFUSED);
    }
    expect((await getMe({ cookie })).status).toBe(200);
    expect((await refresh({ cookies })).status).toBe(200);
  });

  test('is refused by the refresh cookie alone, too', async () => {
    const { tokens } = await signUp();
    const cookies = `${REFRESH}=${tokens.refresh}`;
    expect(outcomeOf(await refresh({ cookies }, crossSite))).toEqual(REFUSED);
  });

  test('the refusal is an answer like any other', async () => {
    const { cookie } = await signUp();
    const { headers, body } = await rind.request('POST', '/auth/logout', {
      headers: { cookie, origin: FOREIGN, 'x-request-id': 'foreign-1' },
    });
    expect(body).toMatchObject({ code: 'cross_origin_refused', requestId: 'foreign-1' });
    expect(headers.get('x-request-id')).toBe('foreign-1');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  test('of CORS_ORIGINS is trusted, and so is the own one', async () => {
    const { cookie } = await signUp();
    for (const headers of [
      { origin: APP },
      { origin: APP, 'sec-fetch-site': 'same-site' },
      { origin: APP, ...crossSite },
      { origin: rind.url },
      { origin: rind.url, 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      {},
    ]) {
      expect(await update({ ...headers, cookie })).toEqual(DONE);
    }
  });

  test('is of no concern where no cookie of ours is carried, or a token is sent', async () => {
    const account: Account = await rind.signUp();
    const { cookies } = await signUp();
    const foreign = { origin: FOREIGN, ...crossSite };
    const authorization = `Bearer ${account.accessToken}`;
    expect(await update({ ...foreign, authorization })).toEqual(DONE);
    expect(await update({ ...foreign, authorization, cookie: cookies })).toEqual(DONE);
    const login = await rind.request('POST', '/auth/login', {
      body: { email: account.user.email, password: account.password },
      headers: { ...foreign, cookie: 'theme=dark' },
    });
    expect(login.status).toBe(200);
  });

  test('may ask what changes nothing; CORS keeps the answer from it', async () => {
    const { cookie } = await signUp();
    const { status, headers } = await getMe({ cookie, origin: FOREIGN });
    expect([status, headers.get('access-control-allow-origin')]).toEqual([200, null]);
  });
});

describe('on http://localhost in development', () => {
  let development: TestApp;

  beforeAll(async () => {
    development = await TestApp.start({
      env: { JWT_SECRET, NODE_ENV: 'development' },
      database: rind.database,
    });
  });
  afterAll(() => development.stop());

  /** As a browser sends it whose address bar has that host. */
  const register = (at: TestApp, host: string) =>
    at.app
      .getHttpAdapter()
      .getInstance()
      .inject({
        method: 'POST',
        url: '/api/v1/auth/register',
        headers: { ...IN_COOKIES, host },
        payload: { email: `${randomUUID()}@example.com`, password: PASSWORD, displayName: 'Ada' },
      });

  const namesOf = ({ cookies }: { cookies: Array<{ name: string }> }) =>
    cookies.map(({ name }) => name);

  test('the cookies have neither prefix nor Secure, and work', async () => {
    const answer = await register(development, 'localhost:3000');
    expect(answer.cookies).toMatchObject([
      { name: 'rind_access', path: '/', httpOnly: true, sameSite: 'Lax' },
      { name: 'rind_refresh', path: '/api/v1/auth', httpOnly: true, sameSite: 'Lax' },
    ]);
    for (const cookie of answer.cookies) expect(cookie).not.toHaveProperty('secure');
    const [access, token] = answer.cookies;
    const server = development.app.getHttpAdapter().getInstance();
    const me = await server.inject({
      url: '/api/v1/users/me',
      headers: { host: 'localhost:3000', cookie: `rind_access=${access!.value}` },
    });
    expect(me.statusCode).toBe(200);
    const refreshed = await server.inject({
      method: 'POST',
      url: '/api/v1/auth/refresh',
      headers: {
        host: 'localhost:3000',
        cookie: `rind_refresh=${token!.value}`,
        ...IN_COOKIES,
      },
    });
    expect([refreshed.statusCode, namesOf(refreshed)]).toEqual([
      200,
      ['rind_access', 'rind_refresh'],
    ]);
  });

  test.each([
    ['on another host', () => development, 'localhost.example.com'],
    ['outside development', () => rind, 'localhost:3000'],
  ])('and nowhere else: %s', async (_name, at, host) => {
    const answer = await register(at(), host);
    expect(namesOf(answer)).toEqual([ACCESS, REFRESH]);
    for (const cookie of answer.cookies) expect(cookie).toMatchObject({ secure: true });
  });
});
