import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { LargeBodies } from '../../src/auth/large-bodies.js';
import { SyncRepository } from '../../src/sync/sync.repository.js';
import { LogRecorder } from '../support/log-recorder.js';
import { hold } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const LOGIN = 'POST /api/v1/auth/login HTTP/1.1';
const PUSH = 'POST /api/v1/sync/push HTTP/1.1';
const LIVE = 'GET /api/v1/health/live HTTP/1.1';
const JSON_BODY = 'Content-Type: application/json';
const MB = 1024 * 1024;

const METRICS_TOKEN = 'the-token-of-this-test';
const env = {
  REQUEST_TIMEOUT_SECONDS: '1',
  SYNC_BODY_LIMIT_MB: '1',
  SYNC_BODIES_LIMIT_MB: '3',
  METRICS_TOKEN,
};

describe('connections', () => {
  let rind: TestApp;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    rind = await TestApp.start({ env });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await untilHeld(0);
  });
  afterAll(() => rind.stop());

  /** Sends the beginning of a request. */
  const open = (...lines: string[]) => openTo(rind.url, ...lines);

  async function openTo(url: string, ...lines: string[]): Promise<Socket> {
    const { hostname, port } = new URL(url);
    const socket = connect({ port: Number(port), host: hostname });
    sockets.push(socket);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    if (lines.length > 0) socket.write(lines.join('\r\n'));
    return socket;
  }

  /** What the server sends until it closes the connection, its last answer as a problem. */
  async function lastProblem(socket: Socket): Promise<Problem> {
    const received = await text(socket);
    const [head, body] = received.slice(received.lastIndexOf('HTTP/1.1 ')).split('\r\n\r\n');
    const problem = Problem.parse(JSON.parse(body!));
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${problem.status} `));
    expect(head).toMatch(/^content-type: application\/problem\+json/im);
    expect(head).toMatch(/^connection: close$/im);
    expect(head).toMatch(new RegExp(`^x-request-id: ${problem.requestId}$`, 'im'));
    return problem;
  }

  const codeOf = async (socket: Socket) => (await lastProblem(socket)).code;

  const head = (line: string, ...fields: string[]) => [line, 'Host: rind', ...fields, '', ''];

  /** Of the budget for large bodies: nobody announces it. */
  function held(): number {
    const budget = Reflect.get(rind.app.get(LargeBodies), 'budget') as object;
    return Reflect.get(budget, 'held') as number;
  }

  async function untilHeld(bytes: number): Promise<void> {
    while (held() !== bytes) await new Promise(setImmediate);
  }

  async function calledAgain({ mock }: { mock: { calls: unknown[] } }): Promise<void> {
    const before = mock.calls.length;
    while (mock.calls.length === before) await new Promise(setImmediate);
  }

  describe('that are slow', () => {
    test.each<[string, string[]]>([
      ['say nothing', []],
      ['never end the head of their request', [LOGIN, 'Host: rind', 'X-Slow: ']],
    ])('are told so and closed when they %s', async (_, lines) => {
      expect(await codeOf(await open(...lines))).toBe('request_timeout');
    });

    test.each(['Content-Length: 9', 'Transfer-Encoding: chunked'])(
      'are told so and closed when they never end a body of %s',
      async (length) => {
        const stalled = await open(...head(LOGIN, JSON_BODY, length));
        expect(await lastProblem(stalled)).toMatchObject({
          code: 'request_timeout',
          status: 408,
          instance: '/api/v1/auth/login',
        });
      },
    );

    test('are closed when they never end a body that nobody wants', async () => {
      const stranger = await open(...head(PUSH, JSON_BODY, 'Content-Length: 9'));
      expect(await text(stranger)).toMatch(/^HTTP\/1.1 401 /);
    });

    test('have more time the more of a body they have sent', async () => {
      const body = JSON.stringify({ filler: 'x'.repeat(50_000) });
      const slow = await open(...head(LOGIN, JSON_BODY, `Content-Length: ${body.length}`));
      // What comes with the head is not counted: the API has met that when it answers what came later.
      await rind.request('GET', '/health/live');
      slow.write(body.slice(0, 40_000));
      // Begun later, it ends when the time of a body of which nothing came is over.
      const stalled = await open(...head(LOGIN, JSON_BODY, 'Content-Length: 9'));
      expect(await codeOf(stalled)).toBe('request_timeout');
      slow.write(body.slice(40_000));
      const [answer] = (await once(slow, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1.1 422 /);
    });
  });

  describe('that speak no HTTP', () => {
    test.each<[string, string[], Problem['code']]>([
      ['garbage', ['\x16\x03\x01\x02\x00', ''], 'malformed_request'],
      ['another version', ['GET / HTTP/9.9', '', ''], 'malformed_request'],
      [
        'a length and chunks',
        head(LOGIN, 'Content-Length: 2', 'Transfer-Encoding: chunked'),
        'malformed_request',
      ],
      ['two lengths', head(LOGIN, 'Content-Length: 2', 'Content-Length: 3'), 'malformed_request'],
      ['a head without end', [LIVE, `X: ${'x'.repeat(20_000)}`], 'headers_too_large'],
      [
        'many fields',
        head(LIVE, ...Array.from({ length: 3_000 }, (_, n) => `X${n}: x`)),
        'headers_too_large',
      ],
      [
        'chunks that are none',
        [...head(LOGIN, JSON_BODY, 'Transfer-Encoding: chunked'), 'xyz', ''],
        'malformed_request',
      ],
    ])('are told what is wrong with %s', async (_, lines, code) => {
      const log = new LogRecorder();
      expect(await codeOf(await open(...lines))).toBe(code);
      expect(JSON.stringify(log)).not.toContain(' at ');
    });

    test('are answered what they asked for before', async () => {
      const socket = await open(...head(LIVE), '\x00garbage\r\n\r\n');
      const received = await text(socket);
      expect(received).toMatch(/^HTTP\/1.1 200 OK/);
    });

    test('get no answer that would be taken for one to what they asked before', async () => {
      const body = JSON.stringify({ email: 'ada@example.com', password: 'x' });
      const broken = head(LOGIN, JSON_BODY, 'Transfer-Encoding: chunked');
      const first = head(LOGIN, JSON_BODY, `Content-Length: ${body.length}`).join('\r\n');
      const socket = await open(`${first}${body}${broken.join('\r\n')}xyz\r\n`);
      expect(await text(socket)).toBe('');
    });

    test('are closed when they never end the body of a request to no address', async () => {
      const socket = await open(...head('POST /%zz HTTP/1.1', 'Content-Length: 9'));
      const received = await text(socket);
      expect(received).toMatch(/^HTTP\/1.1 400 /);
      for (const field of ['connection: close', 'cache-control: no-store']) {
        expect(received).toContain(field);
      }
    });

    test('are counted', async () => {
      const answer = await fetch(`${rind.url}/metrics`, {
        headers: { authorization: `Bearer ${METRICS_TOKEN}` },
      });
      const metrics = await answer.text();
      expect(metrics).toMatch(/rind_unreadable_requests_total\{code="malformed_request"\} [1-9]/);
      expect(metrics).toMatch(/rind_unreadable_requests_total\{code="payload_too_large"\} 0/);
    });
  });

  test('beyond CONNECTION_LIMIT are closed at once, and those there are live on', async () => {
    const small = await TestApp.start({
      database: rind.database,
      env: { CONNECTION_LIMIT: '10', METRICS_TOKEN },
    });
    const opened: Socket[] = [];
    for (let n = 0; n < 10; n += 1) opened.push(await openTo(small.url));
    const last = await openTo(small.url);
    if (!last.closed) await once(last, 'close');
    opened[0]!.write(head(LIVE).join('\r\n'));
    const [answer] = (await once(opened[0]!, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 OK/);
    const scrape = ['Connection: close', `Authorization: Bearer ${METRICS_TOKEN}`];
    opened[1]!.write(head('GET /metrics HTTP/1.1', ...scrape).join('\r\n'));
    expect(await text(opened[1]!)).toMatch(/^rind_connections_dropped_total 1$/m);
    for (const socket of opened) socket.destroy();
    await small.stop();
  });

  test('may have the longest time-out that there is', async () => {
    const env = { REQUEST_TIMEOUT_SECONDS: '600' };
    const patient = await TestApp.start({ database: rind.database, env });
    expect((await patient.request('GET', '/health/live')).status).toBe(200);
    await patient.stop();
  });

  test('stay open between requests for longer than proxies keep theirs', async () => {
    const socket = await open(...head(LIVE));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^keep-alive: timeout=150$/im);
  });

  describe('with large bodies', () => {
    let ada: Account;
    let bob: Account;

    beforeAll(async () => {
      ada = await rind.signUp();
      bob = await rind.signUp();
    });

    const auth = ({ accessToken }: Account) => `Authorization: Bearer ${accessToken}`;

    /** A push of which only the head has come. */
    const announce = (account: Account, length = `Content-Length: ${MB}`) =>
      open(...head(PUSH, JSON_BODY, auth(account), length));

    const NEARLY_ALL = MB - 100;

    /** A push of which the end is missing. */
    async function begin(account: Account): Promise<Socket> {
      const socket = await announce(account);
      socket.write('x'.repeat(NEARLY_ALL));
      return socket;
    }

    async function beginChunks(account: Account): Promise<void> {
      const socket = await announce(account, 'Transfer-Encoding: chunked');
      socket.write(`${NEARLY_ALL.toString(16)}\r\n${'x'.repeat(NEARLY_ALL)}\r\n`);
    }

    const packed = (text: string) => [gzipSync(text), 'Content-Encoding: gzip'] as const;

    const push = (account: Account, bytes: number) =>
      rind.request('POST', '/sync/push', {
        token: account.accessToken,
        body: { changes: {}, lastPulledAt: null, filler: 'x'.repeat(bytes) },
      });

    test('take turns: those of one user, and those of all', async () => {
      await begin(ada);
      await beginChunks(ada);
      await untilHeld(2 * NEARLY_ALL);
      const mine = await push(ada, MB / 2);
      expect([mine.status, mine.body.code, mine.headers.get('retry-after')]).toEqual([
        429,
        'rate_limited',
        '5',
      ]);
      await begin(bob);
      await untilHeld(3 * NEARLY_ALL);
      const others = await push(bob, MB / 2);
      expect([others.status, others.body.code, others.headers.get('retry-after')]).toEqual([
        503,
        'service_unavailable',
        '5',
      ]);
      expect((await push(ada, 1_000)).status).toBe(200);
      for (const socket of sockets) socket.destroy();
      await untilHeld(0);
      expect((await push(ada, MB / 2)).status).toBe(200);
      expect((await push(bob, MB / 2)).status).toBe(200);
    });

    test('count as what they unpack to', async () => {
      await begin(ada);
      await begin(ada);
      await untilHeld(2 * NEARLY_ALL);
      const push = JSON.stringify({ changes: {}, lastPulledAt: null, f: 'x'.repeat(MB / 2) });
      const send = (body = push) =>
        fetch(`${rind.url}/api/v1/sync/push`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${ada.accessToken}`,
            'content-type': 'application/json',
            'content-encoding': 'gzip',
          },
          body: gzipSync(body),
        });
      expect((await send()).status).toBe(429);
      // Before it is known to be no JSON.
      expect((await send('x'.repeat(MB / 2))).status).toBe(429);
      for (const socket of sockets) socket.destroy();
      await untilHeld(0);
      expect((await send()).status).toBe(200);
    });

    test('count nothing for what was only announced', async () => {
      for (const account of [ada, ada, ada, bob, bob, bob]) await announce(account);
      expect((await push(ada, MB / 2)).status).toBe(200);
      expect((await push(bob, MB / 2)).status).toBe(200);
    });

    test('are refused in the midst of it where they outgrow what is free', async () => {
      await begin(ada);
      await begin(ada);
      await untilHeld(2 * NEARLY_ALL);
      const third = await announce(ada, 'Transfer-Encoding: chunked');
      third.write(`${NEARLY_ALL.toString(16)}\r\n${'x'.repeat(70_000)}`);
      expect(await codeOf(third)).toBe('rate_limited');
      expect(held()).toBe(2 * NEARLY_ALL);
    });

    test('count against the budget of their device once, also when they are no JSON', async () => {
      const left = async (body: unknown) => {
        const { headers } = await rind.request('POST', '/sync/push', {
          token: ada.accessToken,
          body,
        });
        return Number(/^"sync";r=(\d+);t=\d+$/.exec(headers.get('ratelimit') ?? '')?.[1]);
      };
      const before = await left({ changes: {}, lastPulledAt: null });
      expect(await left('no JSON')).toBe(before - 1);
      expect(await left({ changes: {}, lastPulledAt: null })).toBe(before - 2);
    });

    test('give back what they took when their client leaves while they are unpacked', async () => {
      const largeBodies = rind.app.get(LargeBodies);
      const release = jest.spyOn(largeBodies, 'release');
      const read = jest.spyOn(largeBodies, 'read');
      for (let n = 0; n < 3; n += 1) {
        const [body, coding] = packed('x'.repeat(NEARLY_ALL));
        const length = `Content-Length: ${body.length}`;
        const hasBegun = calledAgain(read);
        const hasEnded = calledAgain(release);
        const socket = await open();
        // In one piece: the whole body is there when its reading begins.
        const text = head(PUSH, JSON_BODY, auth(ada), length, coding).join('\r\n');
        socket.write(Buffer.concat([Buffer.from(text), body]));
        await hasBegun;
        socket.resetAndDestroy();
        await hasEnded;
        expect(held()).toBe(0);
      }
      release.mockRestore();
      read.mockRestore();
      expect((await push(ada, MB / 2)).status).toBe(200);
    });

    test('that are too large, no JSON or no push give back what they took', async () => {
      for (const body of [
        'x'.repeat(MB + 1),
        'x'.repeat(MB / 2),
        JSON.stringify('x'.repeat(MB / 2)),
      ]) {
        const { status } = await rind.request('POST', '/sync/push', {
          token: ada.accessToken,
          body,
        });
        expect([400, 413, 422]).toContain(status);
        await untilHeld(0);
      }
    });

    test('count until the work on them has ended, whoever waits for it', async () => {
      const body = JSON.stringify({
        changes: { projects: { created: [{ id: 'large', name: 'n' }] } },
        lastPulledAt: null,
        filler: 'x'.repeat(100_000),
      });
      const seam = hold(rind.app.get(SyncRepository), 'write', 'before');
      const length = `Content-Length: ${body.length}`;
      const socket = await open(...head(PUSH, JSON_BODY, auth(ada), length));
      socket.write(body);
      await seam.reached;
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
      // The server has heard of it when it answers what came later.
      await push(bob, 0);
      expect(held()).toBe(body.length);
      seam.release();
      await untilHeld(0);
    });
  });
});
