import { generateKeyPairSync } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { errorCodes, type ErrorCode, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import pg from 'pg';
import supertest, { type Response, type Test } from 'supertest';
import { UsersService } from '../../src/users/users.service.js';
import { LogRecorder } from '../support/log-recorder.js';
import { type Account, TestApp } from '../support/test-app.js';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test-database.js';

const JWT_SECRET = 'the secret of this test, long enough for HS256';
const ME = '/api/v1/users/me';
const LOGIN = '/api/v1/auth/login';
const REGISTER = '/api/v1/auth/register';
const PUSH = '/api/v1/sync/push';

/** What must hold for every problem document, whatever its code. */
function expectProblem(response: Response, code: ErrorCode, instance: string): Problem {
  const { status, title } = errorCodes[code];
  const problem = Problem.strict().parse(response.body);
  expect(problem).toMatchObject({
    type: `urn:rind:problem:${code}`,
    title,
    status,
    code,
    instance,
    requestId: response.headers['x-request-id'],
  });
  expect(problem.detail).not.toBe('');
  expect(response.status).toBe(status);
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(response.headers['www-authenticate']).toBe(status === 401 ? 'Bearer' : undefined);
  return problem;
}

describe('problem documents', () => {
  let rind: TestApp;
  let account: Account;

  beforeAll(async () => {
    rind = await TestApp.start({ env: { JWT_SECRET, SYNC_BODY_LIMIT_MB: '1' } });
    account = await rind.signUp();
  });
  afterAll(() => rind.stop());

  const get = (path: string): Test => supertest(rind.url).get(path);
  const post = (path: string): Test => supertest(rind.url).post(path);

  describe('about access tokens', () => {
    /** The account's genuine token with other claims, or signed another way. */
    function forge(
      claims: Record<string, unknown> = {},
      key: jwt.Secret = JWT_SECRET,
      algorithm: jwt.Algorithm = 'HS256',
    ): string {
      const genuine = jwt.decode(account.accessToken) as jwt.JwtPayload;
      const given = Object.entries({ ...genuine, ...claims });
      const payload = Object.fromEntries(given.filter(([, value]) => value !== undefined));
      return jwt.sign(payload, key, { algorithm });
    }

    const seconds = () => Math.floor(Date.now() / 1000);

    test('what these tests forge would be accepted without the fault in question', async () => {
      await get(ME).auth(forge(), { type: 'bearer' }).expect(200);
    });

    test('no token', async () => {
      expectProblem(await get(ME), 'unauthenticated', ME);
    });

    test('an expired token', async () => {
      const token = forge({ exp: seconds() - 1 });
      const response = await get(ME).auth(token, { type: 'bearer' });
      expectProblem(response, 'access_token_expired', ME);
    });

    const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

    test.each<[string, () => string]>([
      ['not a JWT', () => 'abc'],
      ['an empty part', () => forge().replace(/\.[^.]*\./, '..')],
      ['a payload that is no JSON', () => forge().replace(/\.(.)/, '.$1A')],
      [
        'a changed payload',
        () => `${forge({ aud: 'x' }).split('.', 2).join('.')}.${forge().split('.')[2]}`,
      ],
      ['alg none', () => forge({}, '', 'none')],
      ['another algorithm of the same key', () => forge({}, JWT_SECRET, 'HS512')],
      ['an asymmetric algorithm', () => forge({}, rsaKey, 'RS256')],
      ['a foreign key', () => forge({}, 'another secret, long enough for HS256 as well')],
      ['a foreign audience', () => forge({ aud: 'somebody else' })],
      ['a foreign issuer', () => forge({ iss: 'somebody else' })],
      ['a subject that is no user id', () => forge({ sub: "' OR true --" })],
      ['no session', () => forge({ sid: undefined })],
      ['no expiry', () => forge({ exp: undefined })],
      ['not valid yet', () => forge({ nbf: seconds() + 600 })],
      ['trailing characters', () => `${forge()}AA`],
      ['a trailing part', () => `${forge()}.e30`],
      ['a trailing word', () => `${forge()} e30`],
    ])('%s', async (_, token) => {
      const response = await get(ME).set('authorization', `Bearer ${token()}`);
      expectProblem(response, 'unauthenticated', ME);
    });

    test.each(['Bearer', 'Bearer ', 'Basic YTpi', 'xBearer abc', ', Bearer abc'])(
      'the header %j',
      async (header) => {
        expectProblem(await get(ME).set('authorization', header), 'unauthenticated', ME);
      },
    );

    test('the name of the scheme in another case is fine (RFC 9110)', async () => {
      await get(ME).set('authorization', `bearer ${account.accessToken}`).expect(200);
    });

    test('a token in the query is not looked at', async () => {
      const response = await get(`${ME}?access_token=${account.accessToken}`);
      expectProblem(response, 'unauthenticated', ME);
      expect(response.text).not.toContain(account.accessToken);
    });

    test('a session that does not exist, and one that has ended', async () => {
      const unknown = forge({ sid: '01900000-0000-7000-8000-000000000000' });
      const gone = await rind.signUp();
      await rind.sql.query('DELETE FROM sessions WHERE id = $1', [gone.session.id]);
      for (const token of [unknown, gone.accessToken]) {
        expectProblem(await get(ME).auth(token, { type: 'bearer' }), 'session_ended', ME);
      }
    });
  });

  describe('about bodies', () => {
    test.each([
      ['text/plain', '{"email":"a@example.com","password":"x"}'],
      ['application/x-www-form-urlencoded', 'email=a%40example.com&password=x'],
      ['multipart/form-data; boundary=x', '--x--'],
      ['application/xml', '<a/>'],
      ['application/jsonp', '{}'],
      ['nonsense', '{}'],
    ])('of the content type %s', async (type, body) => {
      const response = await post(LOGIN).set('content-type', type).send(body);
      expectProblem(response, 'unsupported_media_type', LOGIN);
    });

    test('without a content type', async () => {
      expectProblem(await sendRaw(LOGIN, {}, '{}'), 'unsupported_media_type', LOGIN);
    });

    test.each(['{', '{"email":', 'null null', "{'a':1}", '\u0000'])(
      'that are not JSON: %j',
      async (body) => {
        const response = await post(LOGIN).type('json').send(body);
        expectProblem(response, 'malformed_request', LOGIN);
      },
    );

    test.each(['null', '[]', '"text"', '7', ''])('that are not an object: %j', async (body) => {
      const problem = expectProblem(
        await post(LOGIN).type('json').send(body),
        'validation_failed',
        LOGIN,
      );
      expect(problem.errors).toMatchObject([{ pointer: '', code: 'invalid_type' }]);
    });

    test('that are absent', async () => {
      const problem = expectProblem(await post(LOGIN), 'validation_failed', LOGIN);
      expect(problem.errors).toMatchObject([{ pointer: '' }]);
    });

    const jsonOfSize = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`;
    const KIB = 1024;

    test('over the limit, declared or not', async () => {
      const body = jsonOfSize(64 * KIB + 1);
      expectProblem(await post(LOGIN).type('json').send(body), 'payload_too_large', LOGIN);
      const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
      expectProblem(await sendRaw(LOGIN, headers, body), 'payload_too_large', LOGIN);
      const fitting = await post(LOGIN)
        .type('json')
        .send(jsonOfSize(64 * KIB));
      expectProblem(fitting, 'validation_failed', LOGIN);
    });

    test('over the limit of a push, which has one of its own', async () => {
      const push = (body: string) =>
        post(PUSH).auth(account.accessToken, { type: 'bearer' }).type('json').send(body);
      expectProblem(await push(jsonOfSize(1024 * KIB + 1)), 'payload_too_large', PUSH);
      expectProblem(await push(jsonOfSize(1024 * KIB)), 'validation_failed', PUSH);
    });

    test('that break the schema: a pointer for each fault', async () => {
      const response = await post(`${REGISTER}?secret=1`).send({
        email: 'no address',
        password: 'short',
        displayName: 'Ada',
        device: { id: 'no uuid', name: '' },
      });
      const problem = expectProblem(response, 'validation_failed', REGISTER);
      expect(problem.errors).toEqual([
        { pointer: '/email', code: 'invalid_format', message: expect.any(String) },
        { pointer: '/password', code: 'too_small', message: expect.any(String) },
        { pointer: '/device/id', code: 'invalid_format', message: expect.any(String) },
        { pointer: '/device/name', code: 'too_small', message: expect.any(String) },
      ]);
      expect(response.text).not.toContain('short');
    });

    test('that break the schema under a key with characters of JSON Pointer: escaped', async () => {
      const response = await post(PUSH)
        .auth(account.accessToken, { type: 'bearer' })
        .send({ changes: { 'a/b~c': { created: 7 } }, lastPulledAt: null });
      const problem = expectProblem(response, 'validation_failed', PUSH);
      expect(problem.errors).toMatchObject([{ pointer: '/changes/a~1b~0c/created' }]);
    });

    test('that break the schema more often than is worth telling', async () => {
      const changes = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`t${n}`, n]));
      const response = await post(PUSH)
        .auth(account.accessToken, { type: 'bearer' })
        .send({ changes, lastPulledAt: null });
      expect(expectProblem(response, 'validation_failed', PUSH).errors).toHaveLength(50);
    });

    test.each([
      '{"theme":"dark","__proto__":{"polluted":1}}',
      '{"theme":"dark","constructor":{"prototype":{"polluted":1}}}',
      '{"theme":{"\\u005f_proto__":null}}',
    ])('with keys that change prototypes: %s', async (body) => {
      const preferences = '/api/v1/users/me/preferences';
      const patch = supertest(rind.url).patch(preferences).type('json');
      const response = await patch.auth(account.accessToken, { type: 'bearer' }).send(body);
      expectProblem(response, 'malformed_request', preferences);
      const kept = await get(preferences).auth(account.accessToken, { type: 'bearer' });
      expect(kept.text).not.toContain('theme');
    });

    test('with keys that only look so: they are kept', async () => {
      const preferences = '/api/v1/users/me/preferences';
      const body = '{"constructor":{"name":"a"},"prototype":1,"proto":"__proto__"}';
      const patch = supertest(rind.url).patch(preferences).type('json');
      await patch.auth(account.accessToken, { type: 'bearer' }).send(body).expect(200);
      const kept = await get(preferences).auth(account.accessToken, { type: 'bearer' });
      expect(kept.body).toMatchObject(JSON.parse(body));
    });

    test('with keys that change prototypes in a push: as unknown columns and tables (rule 31)', async () => {
      const nested = await post(PUSH)
        .auth(account.accessToken, { type: 'bearer' })
        .type('json')
        .send(
          '{"lastPulledAt":null,"__proto__":{"polluted":1},' +
            '"changes":{"__proto__":{"created":[{"id":"a"}]},"projects":{"__proto__":{"updated":7},' +
            '"created":[{"id":"b","name":"n","__proto__":{"id":"c"},"constructor":{"prototype":7},"prototype":1}]},' +
            '"constructor":{"created":[{"id":"a"}]},"prototype":{"created":[{"id":"a"}]},"toString":{}}}',
        );
      expect(nested.status).toBe(200);
      expect(nested.body.warnings).toMatchObject([
        { code: 'unknown_table', table: 'constructor' },
        { code: 'unknown_table', table: 'prototype' },
        { code: 'unknown_column', column: 'prototype' },
      ]);
      // All in one process: a polluted prototype would show here.
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    });
  });

  describe('about addresses', () => {
    test.each(['/nothing', '/api/v1', '/api/v1/nothing', '/api/v2/users/me', '/api/v1/users/me/x'])(
      'unknown: %s',
      async (path) => {
        expectProblem(await get(`${path}?token=secret`), 'not_found', path);
      },
    );

    test('a method that the route does not have', async () => {
      expectProblem(await supertest(rind.url).delete(LOGIN), 'not_found', LOGIN);
    });

    test.each(['/%zz', '/api/v1/%E0%A4%A'])('that cannot be decoded: %s', async (path) => {
      const response = await sendRaw(path, { 'x-request-id': 'mine' });
      expect(expectProblem(response, 'malformed_request', path).requestId).toBe('mine');
    });

    test.each(['abc', '-1', '1e3', '1&lastPulledAt=2'])('a cursor %s', async (cursor) => {
      const response = await get(`/api/v1/sync/pull?lastPulledAt=${cursor}`).auth(
        account.accessToken,
        { type: 'bearer' },
      );
      const problem = expectProblem(response, 'invalid_cursor', '/api/v1/sync/pull');
      expect(problem.errors).toMatchObject([{ pointer: '/lastPulledAt' }]);
    });
  });

  test('a registration of an address that is taken, in any case', async () => {
    const response = await post(REGISTER).send({
      email: account.user.email.toUpperCase(),
      password: account.password,
      displayName: 'Second',
    });
    expectProblem(response, 'email_already_used', REGISTER);
  });

  test('wrong credentials: the same for a known and an unknown address', async () => {
    const [known, unknown] = await Promise.all(
      [account.user.email, 'nobody@example.com'].map((email) =>
        post(LOGIN).set('x-request-id', 'same').send({ email, password: 'not the right one' }),
      ),
    );
    expectProblem(known!, 'invalid_credentials', LOGIN);
    expect(unknown!.body).toEqual(known!.body);
  });

  describe('about what nobody foresaw', () => {
    afterEach(() => void jest.restoreAllMocks());

    test.each([
      ['an error', () => new Error('SELECT secret FROM vault')],
      [
        'an error with a status of its own',
        () => Object.assign(new Error('secret'), { statusCode: 500 }),
      ],
      ['no error at all', () => 'secret'],
    ])('%s: nothing leaks, and it is logged once', async (_, thrown) => {
      const log = new LogRecorder();
      jest.spyOn(rind.app.get(UsersService), 'get').mockRejectedValueOnce(thrown());
      const response = await get(ME)
        .auth(account.accessToken, { type: 'bearer' })
        .set('x-request-id', 'trace-me');
      expectProblem(response, 'internal_error', ME);
      expect(response.text).not.toMatch(/secret|SELECT|\.[jt]s/);
      expect(JSON.stringify(response.headers)).not.toContain('secret');
      const failures = log.lines.filter(({ level }) => level === 'error');
      expect(failures).toMatchObject([
        { msg: 'Request failed', requestId: 'trace-me', code: 'internal_error' },
      ]);
      const [failure] = failures;
      const others = log.lines.filter((line) => line !== failure);
      expect(JSON.stringify(failure)).toContain('secret');
      expect(JSON.stringify(others)).not.toContain('secret');
    });
  });

  describe('request ids', () => {
    const idOf = async (given: string): Promise<string> => {
      const response = await get('/api/v1/health').set('x-request-id', given);
      return response.headers['x-request-id'] as string;
    };

    test.each(['0190b1c2-aaaa', 'a', 'Trace:1.2_3-4', 'x'.repeat(128)])('%s is kept', async (id) =>
      expect(await idOf(id)).toBe(id),
    );

    test.each(['', ' ', 'a b', 'x'.repeat(129), '<script>', 'a"b', 'ä', 'a,b', '{}', '../..'])(
      '%j is replaced',
      async (id) => expect(await idOf(id)).toMatch(/^[0-9a-f-]{36}$/),
    );

    test('two of them are replaced by one', async () => {
      const response = await sendRaw('/api/v1/health', { 'x-request-id': ['one', 'two'] });
      expect(response.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    });

    test('the answer, the problem and the log tell the same', async () => {
      const log = new LogRecorder();
      const response = await get(`${ME}?token=secret`);
      const { requestId } = expectProblem(response, 'unauthenticated', ME);
      expect(log.find('Request answered')).toMatchObject([
        { requestId, method: 'GET', route: ME, path: ME, status: 401, userId: null },
      ]);
      expect(log.text).not.toContain('secret');
    });
  });

  /** A request that Supertest would correct: as it is written here, and nothing else. */
  async function sendRaw(
    path: string,
    headers: Record<string, string | string[]>,
    body?: string,
  ): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const { hostname, port } = new URL(rind.url);
    const outgoing = httpRequest(
      { hostname, port, path, headers, method: body === undefined ? 'GET' : 'POST', agent: false },
      (answer) => {
        text(answer).then(
          (content) =>
            resolve({
              status: answer.statusCode,
              headers: answer.headers,
              text: content,
              body: JSON.parse(content),
            } as unknown as Response),
          reject,
        );
      },
    );
    outgoing.once('error', reject).end(body);
    return promise;
  }
});

describe('while the database is unavailable', () => {
  let rind: TestApp;
  let database: TestDatabase;
  let proxy: TcpProxy;
  let requests: Array<() => Test>;

  beforeAll(async () => {
    database = await createTestDatabase();
    const address = new URL(database.url);
    proxy = await TcpProxy.start(Number(address.port), address.hostname);
    address.host = `127.0.0.1:${proxy.port}`;
    rind = await TestApp.start({ database, env: { DATABASE_URL: address.href } });
    const { user, password, accessToken, refreshToken } = await rind.signUp();
    const api = supertest(rind.url);
    const changes = { projects: { deleted: ['a'] } };
    requests = [
      () => api.get(ME).auth(accessToken, { type: 'bearer' }),
      () => api.get('/api/v1/sync/pull').auth(accessToken, { type: 'bearer' }),
      () =>
        api.post(PUSH).auth(accessToken, { type: 'bearer' }).send({ changes, lastPulledAt: null }),
      () => api.post(LOGIN).send({ email: user.email, password }),
      () => api.post('/api/v1/auth/refresh').send({ refreshToken }),
    ];
  });
  afterAll(async () => {
    await rind.stop();
    await proxy.cut();
    await database.drop();
  });

  async function expectOutage(): Promise<void> {
    const log = new LogRecorder();
    for (const send of requests) {
      const response = await send();
      expectProblem(response, 'service_unavailable', new URL(response.request.url).pathname);
      expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
      expect(response.text).not.toMatch(/postgres|ECONN|127\.0\.0\.1|rind_/i);
    }
    expect(log.find('Request failed')).toHaveLength(requests.length);
    // A look at the database serves all who ask within a moment.
    let ready: Response;
    do ready = await supertest(rind.url).get('/api/v1/health/ready');
    while (ready.status === 200);
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({
      status: 'unavailable',
      checks: { database: { status: 'unavailable' } },
    });
    await supertest(rind.url).get('/api/v1/health/live').expect(200);
  }

  /** Each connection notices the outage once at most, so a few tries are enough. */
  async function expectRecovery(): Promise<void> {
    for (const send of requests) {
      let status = 0;
      for (let tries = 0; tries < 20 && status !== 200; tries += 1) ({ status } = await send());
      expect(status).toBe(200);
    }
    while ((await supertest(rind.url).get('/api/v1/health/ready')).status !== 200);
  }

  test('it refuses connections, and comes back', async () => {
    await proxy.cut();
    await expectOutage();
    await proxy.restore();
    await expectRecovery();
  });

  test('an operator keeps everybody out of it, and lets them in again', async () => {
    const name = new URL(rind.database.url).pathname.slice(1);
    const admin = new pg.Client({ connectionString: databaseUrl(rind.database.url, 'postgres') });
    await admin.connect();
    const allow = (isAllowed: boolean) =>
      admin.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} ALLOW_CONNECTIONS ${isAllowed}`);
    try {
      await allow(false);
      await admin.query(
        'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1',
        [name],
      );
      await expectOutage();
    } finally {
      await allow(true);
      await admin.end();
    }
    await expectRecovery();
  });
});

/** Passes connections on, until it is cut. */
class TcpProxy {
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly targetPort: number,
    private readonly targetHost: string,
    public port: number,
  ) {}

  static async start(targetPort: number, targetHost: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort, targetHost, 0);
    await proxy.restore();
    return proxy;
  }

  async restore(): Promise<void> {
    const server = createServer((incoming) => {
      const outgoing = connect(this.targetPort, this.targetHost);
      incoming.pipe(outgoing).pipe(incoming);
      for (const [socket, other] of [
        [incoming, outgoing],
        [outgoing, incoming],
      ] as const) {
        this.sockets.add(socket);
        socket.once('error', () => undefined);
        socket.once('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  /** Breaks every connection, and refuses new ones. */
  async cut(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
