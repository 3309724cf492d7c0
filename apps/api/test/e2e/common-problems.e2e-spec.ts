import { readFileSync } from 'node:fs';
import { type ErrorCode, type Problem, syncTables } from '@rind/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { AdminUsersService } from '../../src/admin/admin-users.service.js';
import { flowSecretsOf } from '../../src/auth/oauth/flow-secrets.js';
import { UnsubscribeTokens } from '../../src/notifications/unsubscribe-tokens.js';
import { settle, untilLive } from '../support/notices.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';

interface Operation {
  readonly 'x-problem-codes': readonly ErrorCode[];
}

/** What is sent beside method and path; a body that is text goes as it is. */
interface Sent {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const { paths } = JSON.parse(
  readFileSync(new URL('../../../../packages/contracts/openapi.json', import.meta.url), 'utf8'),
) as { paths: Record<string, Record<string, Operation>> };

const SECRET = 'the secret of the routes and their problems';
const COOKIE = 'the cookie of a browser that is on its way back';
const env = {
  JWT_SECRET: SECRET,
  OAUTH_META_ID: '1234567890',
  OAUTH_META_SECRET: 'the app secret of these tests',
  OAUTH_GOOGLE_ID: 'web-client',
  OAUTH_GOOGLE_SECRET: 'the client secret of these tests',
  // Where nobody listens.
  OAUTH_GOOGLE_ISSUER: 'http://127.0.0.1:9',
  OAUTH_RETURN_URLS: 'https://app.example.com/back',
};

/** Health asks nobody: neither the database, where it says what it found, nor anything that could be wrong. */
const isHealth = (route: string) => route.includes('/health');

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const isForm = (route: string) => route === 'POST /api/v1/auth/oauth/{provider}/callback';

function routesDeclaring(code: ErrorCode): string[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, operation]) => operation['x-problem-codes'].includes(code))
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  );
}

/** Such an address that handlers are reached where no token is needed: of a provider, with its state. */
function urlOf(path: string): string {
  const state = flowSecretsOf(COOKIE).state;
  const challenge = 'x'.repeat(43);
  const query = path.endsWith('/callback')
    ? `?state=${state}`
    : `?returnTo=${encodeURIComponent(env.OAUTH_RETURN_URLS)}&codeChallenge=${challenge}`;
  return (
    path
      .replace('/api/v1', '')
      .replace('{provider}', 'facebook')
      .replace('{id}', '01900000-0000-7000-8000-000000000000') +
    (path.includes('{provider}') ? query : '') +
    (path.endsWith('/unsubscribe') ? `?token=${unsubscribeToken()}` : '')
  );
}

const unsubscribeToken = () =>
  rind.app.get(UnsubscribeTokens).mint({ userId: ada.id, type: 'welcome' });

let rind: TestApp;
let ada: Account;

beforeAll(async () => {
  rind = await TestApp.start({ env, tables: syncTables });
  await untilLive(rind);
  ada = await signUpAdmin();
});
afterAll(() => rind.stop());

/** So that no route refuses for want of a role. */
async function signUpAdmin(): Promise<Account> {
  const account = await rind.signUp();
  await rind.app.get(AdminUsersService).grantAdmin(account.user.email);
  await settle(rind);
  return account;
}

const send = (route: string, sent: Sent, { request } = { request: rind.request.bind(rind) }) => {
  const [method = '', path = ''] = route.split(' ');
  return request<Problem>(method, urlOf(path), sent);
};

/** Each of the routes that declare a problem answers with it. */
async function expectOfAll(
  code: ErrorCode,
  answer: (route: string) => Promise<{ status: number; body: Problem | null }>,
  routes = routesDeclaring(code),
): Promise<void> {
  const answers: string[] = [];
  for (const route of routes) {
    const { status, body } = await answer(route);
    answers.push(`${route}: ${body?.code ?? status}`);
  }
  expect(routes).not.toEqual([]);
  expect(answers).toEqual(routes.map((route) => `${route}: ${code}`));
}

test('every signed-in route refuses a token that has expired', () => {
  const { exp: _exp, iat: _iat, ...claims } = jwt.decode(ada.accessToken) as jwt.JwtPayload;
  const token = jwt.sign(claims, SECRET, { expiresIn: -1 });
  return expectOfAll('access_token_expired', (route) => send(route, { token }));
});

test('every signed-in route refuses a token whose session has ended', async () => {
  const { accessToken: token } = await signUpAdmin();
  await rind.request('POST', '/auth/logout', { token });
  await settle(rind);
  await expectOfAll('session_ended', (route) => send(route, { token }));
});

test('every signed-in route refuses whoever has no token', () =>
  expectOfAll('unauthenticated', (route) => send(route, {})));

test("every administrator's route refuses other users", async () => {
  const { accessToken: token } = await rind.signUp();
  await expectOfAll('forbidden', (route) => send(route, { token }));
});

test('every route that changes something refuses cookies from a foreign origin', () => {
  const headers = {
    cookie: `__Host-rind_access=${ada.accessToken}`,
    origin: 'https://evil.example',
  };
  return expectOfAll('cross_origin_refused', (route) => send(route, { headers }));
});

test('every route with a body refuses JSON that cannot be read', () =>
  expectOfAll('malformed_request', (route) => send(route, { token: ada.accessToken, body: '{' })));

test('every route with a body refuses one that is too large', () => {
  return expectOfAll('payload_too_large', (route) =>
    send(route, {
      token: ada.accessToken,
      body: 'x'.repeat(route.endsWith('/sync/push') ? 26 * 1024 ** 2 : 300 * 1024),
      headers: isForm(route) ? FORM : {},
    }),
  );
});

test('every route with a body refuses another type of content', () => {
  const headers = { 'content-type': 'text/plain' };
  return expectOfAll('unsupported_media_type', (route) =>
    send(route, { token: ada.accessToken, body: 'text', headers }),
  );
});

test('every route with a limit tells who has used it up', async () => {
  const limited = await TestApp.start({
    database: rind.database,
    env: {
      ...env,
      RATE_LIMIT_ANON_PER_MINUTE: '1',
      RATE_LIMIT_USER_PER_MINUTE: '1',
      RATE_LIMIT_SYNC_PER_MINUTE: '1',
      RATE_LIMIT_AUTH_PER_MINUTE: '1',
    },
  });
  try {
    const { accessToken: token } = ada;
    const ask = (route: string) =>
      send(route, { token }, { request: limited.request.bind(limited) });
    for (const route of ['GET /users/me', 'GET /sync/schema', 'POST /auth/login']) await ask(route);
    await limited.request('GET', '/auth/oauth/facebook');
    await expectOfAll('rate_limited', async (route) => {
      const withToken = await ask(route);
      return withToken.status === 429
        ? withToken
        : send(route, {}, { request: limited.request.bind(limited) });
    });
  } finally {
    await limited.stop();
  }
});

/** What gets each route as far as the database. */
function soundRequest(route: string): Sent {
  if (route === 'POST /api/v1/auth/refresh') return { body: { refreshToken: ada.refreshToken } };
  const headers = { cookie: `__Host-rind_oauth=${COOKIE}; rind_oauth=${COOKIE}` };
  if (isForm(route)) {
    return { headers: { ...headers, ...FORM }, body: `state=${flowSecretsOf(COOKIE).state}` };
  }
  return route.includes('{provider}') ? { headers } : { token: ada.accessToken };
}

test('every route tells that the database is away', async () => {
  const wire = await TcpProxy.start(rind.database.url);
  const cut = await TestApp.start({
    database: rind.database,
    env: { ...env, DATABASE_URL: wire.url },
    tables: syncTables,
  });
  try {
    wire.refuse();
    await expectOfAll(
      'service_unavailable',
      (route) => send(route, soundRequest(route), { request: cut.request.bind(cut) }),
      routesDeclaring('service_unavailable').filter((route) => !isHealth(route)),
    );
  } finally {
    await cut.stop();
    await wire.close();
  }
});

test('every route tells nothing of what is wrong inside, but that something is', async () => {
  const tables = ['sessions', 'rate_limits', 'oauth_flows', 'notification_preferences'];
  const rename = (from: string, to: string) =>
    rind.sql.query(`ALTER TABLE ${from} RENAME TO ${to}`);
  for (const table of tables) await rename(table, `${table}_away`);
  const broken = await TestApp.start({ database: rind.database, env, tables: syncTables });
  try {
    await expectOfAll(
      'internal_error',
      async (route) => {
        const answer = await send(route, soundRequest(route), {
          request: broken.request.bind(broken),
        });
        expect(JSON.stringify(answer.body)).not.toMatch(/_away|relation|42P01/);
        return answer;
      },
      routesDeclaring('internal_error').filter((route) => !isHealth(route)),
    );
  } finally {
    await broken.stop();
    for (const table of tables) await rename(`${table}_away`, table);
  }
});

test('every route refuses an id in its path that is none', async () => {
  const routes = routesDeclaring('validation_failed').filter((route) => route.includes('{id}'));
  for (const id of ['x', '%00', '0'.repeat(90), '%F0%9F%92%A5']) {
    await expectOfAll(
      'validation_failed',
      (route) => {
        const [method = '', path = ''] = route.split(' ');
        return rind.request(method, path.replace('/api/v1', '').replace('{id}', id), {
          token: ada.accessToken,
          ...(method !== 'GET' && { body: {} }),
        });
      },
      routes,
    );
  }
});

test('a provider that cannot be reached is told as such', async () => {
  const query = new URLSearchParams({
    returnTo: env.OAUTH_RETURN_URLS,
    codeChallenge: 'x'.repeat(43),
  });
  const { status, body } = await rind.request('GET', `/auth/oauth/google?${query.toString()}`);
  expect([status, body.code]).toEqual([502, 'oauth_failed']);
});
