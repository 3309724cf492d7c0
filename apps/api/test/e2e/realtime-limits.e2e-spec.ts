import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { REALTIME_PATH } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { PrincipalsService } from '../../src/auth/principals.service.js';
import { Realtime } from '../../src/platform/realtime/realtime.js';
import { SocketEngine } from '../../src/platform/realtime/socket-engine.js';
import { SyncService } from '../../src/sync/sync.service.js';
import { LogRecorder } from '../support/log-recorder.js';
import { RawSocket } from '../support/raw-socket.js';
import { RealtimeClient, refusalOf } from '../support/realtime-client.js';
import { hold } from '../support/seams.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

const METRICS_TOKEN = 'the-token-of-this-test';
const CONNECT = '40/notifications,';

describe('the limits of sockets', () => {
  let rind: TestApp;
  const open: Array<RealtimeClient | RawSocket> = [];

  beforeAll(async () => {
    rind = await TestApp.start({
      env: {
        METRICS_TOKEN,
        TRUST_PROXY: '1',
        CORS_ORIGINS: 'https://app.example.com',
        RATE_LIMIT_HANDSHAKE_PER_MINUTE: '60',
        REALTIME_CONNECTIONS_PER_USER: '3',
        REALTIME_PACKETS_PER_SECOND: '10',
        REALTIME_PAYLOAD_LIMIT_KB: '8',
        REALTIME_BUFFER_LIMIT_KB: '64',
      },
    });
  });
  afterEach(() => open.splice(0).forEach((socket) => socket.close()));
  afterAll(() => rind.stop());

  async function connect({ accessToken }: Account, address = '192.0.2.1') {
    const client = await RealtimeClient.connect(rind.url, accessToken, {
      extraHeaders: { 'x-forwarded-for': address },
    });
    open.push(client);
    return client;
  }

  async function openRaw(query?: string): Promise<RawSocket> {
    const socket = await RawSocket.open(rind.url, query);
    open.push(socket);
    return socket;
  }

  /** Has joined, and may send anything. */
  async function joinRaw({ accessToken: token }: Account): Promise<RawSocket> {
    const socket = await openRaw();
    socket.send(CONNECT + JSON.stringify({ token }));
    await socket.receive(CONNECT);
    return socket;
  }

  async function counted(name: string): Promise<number> {
    const response = await fetch(`${rind.url}/metrics`, {
      headers: { authorization: `Bearer ${METRICS_TOKEN}` },
    });
    const text = await response.text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.split(' ')[1] ?? 0);
  }

  const sockets = () => counted('rind_realtime_sockets');

  describe('connections', () => {
    test('of one user are refused beyond a number, also when they come at once, and others are not', async () => {
      const account = await rind.signUp();
      const refused = 'rind_realtime_handshakes_refused_total{code="too_many_connections"}';
      const before = [await sockets(), await counted(refused)] as const;
      const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => connect(account)));
      const refusals = attempts.flatMap((attempt) =>
        attempt.status === 'rejected' ? [(attempt.reason as { data: unknown }).data] : [],
      );
      expect(refusals).toEqual(Array(5).fill({ code: 'too_many_connections' }));
      expect([await sockets(), await counted(refused)]).toEqual([before[0] + 3, before[1] + 5]);
      await connect(await rind.signUp());
    });

    test('make room when they close', async () => {
      const account = await rind.signUp();
      const clients = [await connect(account), await connect(account), await connect(account)];
      const before = await sockets();
      clients[0]!.close();
      while ((await sockets()) === before);
      await connect(account);
    });

    test('take none when they close before they have joined', async () => {
      const { accessToken: token } = await rind.signUp();
      const before = await sockets();
      const { engine } = rind.app.get(SocketEngine);
      const seam = hold(rind.app.get(PrincipalsService), 'identify', 'after');
      const socket = await openRaw();
      socket.send(CONNECT + JSON.stringify({ token }));
      await seam.reached;
      const { clientsCount } = engine;
      socket.close();
      while (engine.clientsCount === clientsCount) await sockets();
      seam.release();
      await connect(await rind.signUp());
      expect(await sockets()).toBe(before + 1);
    });
  });

  describe('handshakes', () => {
    const handshake = (address: string) =>
      new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve) => {
        const request = httpRequest(`${rind.url}${REALTIME_PATH}/?EIO=4&transport=websocket`, {
          headers: {
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'x-forwarded-for': address,
          },
        });
        request.on('upgrade', ({ headers }, socket) => {
          socket.destroy();
          resolve({ status: 101, headers, body: '' });
        });
        request.on('response', (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString()));
          response.on('end', () =>
            resolve({ status: response.statusCode!, headers: response.headers, body }),
          );
        });
        request.end();
      });

    test('of one address are refused beyond a number, in the way of HTTP; others are not', async () => {
      const answers = await Promise.all(
        Array.from({ length: 70 }, () => handshake('198.51.100.7')),
      );
      const refused = answers.filter(({ status }) => status !== 101);
      expect(refused).toHaveLength(10);
      const [{ status, headers, body }] = refused as [(typeof answers)[0]];
      expect([status, JSON.parse(body).code]).toEqual([429, 'rate_limited']);
      expect(headers).toMatchObject({
        'content-type': 'application/problem+json; charset=utf-8',
        'retry-after': expect.any(String),
        'x-request-id': expect.any(String),
        'x-frame-options': 'DENY',
        'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
      });
      expect(await counted('rind_realtime_handshakes_refused_total{code="rate_limited"}')).toBe(10);
      expect((await handshake('198.51.100.8')).status).toBe(101);
    });

    test('for polling are refused with a problem', async () => {
      const { status, body, headers } = await rind.request(
        'GET',
        '/socket.io/?EIO=4&transport=polling',
      );
      expect([status, body.code]).toEqual([400, 'malformed_request']);
      expect(headers.get('x-frame-options')).toBe('DENY');
    });

    test.each([
      ['an unknown engine session', 'EIO=4&transport=websocket&sid=forged'],
      ['another transport', 'EIO=4&transport=polling'],
      ['no query', ''],
    ])('are refused with %s', async (_kind, query) => {
      await expect(openRaw(query)).rejects.toThrow();
    });

    test.each([
      ['an old protocol', 'EIO=3&transport=websocket'],
      ['no protocol', 'transport=websocket'],
    ])('are closed with %s', async (_kind, query) => {
      await (
        await RawSocket.open(rind.url, query).catch(() => undefined)
      )?.closed;
    });

    test('an upgrade to something else is answered as if nobody had asked for it', async () => {
      const request = httpRequest(`${rind.url}/api/v1/health`, {
        headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAM' },
      }).end();
      const [response] = await once(request, 'response');
      expect(response.statusCode).toBe(200);
      response.resume();
      await once(response, 'end');
    });
  });

  describe('what clients send', () => {
    test('too much of it closes the socket, and is counted', async () => {
      const dropped = 'rind_realtime_sockets_dropped_total{reason="too_many_packets"}';
      const before = await counted(dropped);
      const socket = await joinRaw(await rind.signUp());
      for (let count = 0; count < 50; count += 1) socket.send('42/notifications,["x"]');
      await socket.closed;
      expect(await counted(dropped)).toBe(before + 1);
    });

    test('more in one message than it may have closes the socket, and is counted', async () => {
      const dropped = 'rind_realtime_sockets_dropped_total{reason="payload_too_large"}';
      const before = await counted(dropped);
      for (const frame of ['x'.repeat(9_000), new Uint8Array(9_000)]) {
        const socket = await joinRaw(await rind.signUp());
        socket.send(frame);
        await socket.closed;
      }
      const other = await joinRaw(await rind.signUp());
      other.send('hello');
      await other.closed;
      expect(await counted(dropped)).toBe(before + 2);
    });

    test('events that nobody knows are answered so, and without an acknowledgement with silence', async () => {
      const socket = await joinRaw(await rind.signUp());
      socket.send('42/notifications,["sync:changed",{"timestamp":1}]');
      socket.send('42/notifications,1["join",{"room":"user:somebody"}]');
      expect(await socket.receive('43')).toBe(
        '43/notifications,1[{"ok":false,"code":"not_found"}]',
      );
      socket.send('42/notifications,2["constructor"]');
      expect(await socket.receive('43/notifications,2')).toContain('"not_found"');
      expect(socket.received.filter((frame) => frame.startsWith('42'))).toEqual([]);
    });

    test("brings nobody into another user's room, whatever they ask to join", async () => {
      const victim = await SyncSession.open(rind);
      const { id, session, accessToken } = victim.account;
      const room = `user:${id}`;
      const intruder = await openRaw(
        `EIO=4&transport=websocket&${new URLSearchParams({ room, userId: id })}`,
      );
      const { accessToken: token } = await rind.signUp();
      const auth = { token, room, rooms: [room], userId: id, sessionId: session.id };
      intruder.send(CONNECT + JSON.stringify(auth));
      await intruder.receive(CONNECT);
      for (const [index, packet] of [
        ['join', { room }],
        ['join', room],
        ['subscribe', [room, `session:${session.id}`]],
        ['auth:renew', { token: accessToken, room }],
      ].entries()) {
        intruder.send(`42/notifications,${index}${JSON.stringify(packet)}`);
        expect(await intruder.receive(`43/notifications,${index}`)).toContain('"ok":false');
      }
      const device = await connect(victim.account);
      await rind.app
        .get(SyncService)
        .write(id, { projects: { created: [{ id: randomUUID(), name: 'n' }] } });
      await device.receive('sync:changed');
      // What was sent to it before has arrived when the answer does.
      intruder.send('42/notifications,9["x"]');
      await intruder.receive('43/notifications,9');
      expect(intruder.received.filter((frame) => frame.startsWith('42'))).toEqual([]);
    });

    test.each([
      ['text', 'hello'],
      ['an unknown packet', '49/notifications,[]'],
      ['JSON that is none', '42/notifications,["auth:renew"'],
      ['no name', '42/notifications,[]'],
      ['a name that is no text', '42/notifications,[{}]'],
      ['a reserved name', '42/notifications,["disconnect"]'],
      ['a second connect', CONNECT + '{}'],
      ['an event for a namespace that it is not in', '42/admin,["x"]'],
      ['bytes out of place', new Uint8Array([1, 2, 3])],
      ['more than a message may have', `42/notifications,["x","${'x'.repeat(9_000)}"]`],
    ])('%s closes the socket, and harms nobody', async (_kind, frame) => {
      const socket = await joinRaw(await rind.signUp());
      socket.send(frame);
      await socket.closed;
      await connect(await rind.signUp());
    });

    test('many attempts to join at once on one connection are one', async () => {
      const { accessToken: token } = await rind.signUp();
      const socket = await openRaw();
      for (let count = 0; count < 5; count += 1)
        socket.send(CONNECT + JSON.stringify({ token: count === 0 ? token : 'x' }));
      await socket.closed;
    });
  });

  describe('namespaces', () => {
    test('the root has nothing to offer, and keeps nobody', async () => {
      const socket = await openRaw();
      socket.send('40');
      expect(await socket.receive('44')).toBe(
        '44{"message":"not_found","data":{"code":"not_found"}}',
      );
      await socket.closed;
    });

    test('others do not exist', async () => {
      const { accessToken } = await rind.signUp();
      expect(await refusalOf(rind.url, accessToken, { namespace: '/admin' })).toBe(
        'Invalid namespace',
      );
    });
  });

  describe('the token', () => {
    test('in the query is not looked at, and not logged', async () => {
      const { accessToken: token } = await rind.signUp();
      const log = new LogRecorder();
      const query = { token, access_token: token };
      expect(await refusalOf(rind.url, undefined, { query })).toBe('unauthenticated');
      await rind.request('GET', `/socket.io/?EIO=4&transport=polling&token=${token}`);
      expect(log.find('Request answered')).toHaveLength(1);
      expect(log.text).not.toContain(token);
    });
  });

  test('a client that does not read is dropped instead of waited for', async () => {
    const dropped = 'rind_realtime_sockets_dropped_total{reason="slow_consumer"}';
    const account = await rind.signUp();
    const before = await sockets();
    const client = await connect(account);
    const { ws } = client.socket.io.engine.transport as unknown as {
      ws: { pause(): void; resume(): void };
    };
    ws.pause();
    const realtime = rind.app.get(Realtime);
    // The kernel takes some megabytes before the server has to keep anything.
    const large = { timestamp: 1, filler: 'x'.repeat(50_000) };
    while ((await counted(dropped)) === 0) {
      for (let count = 0; count < 50; count += 1)
        realtime.emitHere(account.id, 'sync:changed', large);
    }
    while ((await sockets()) > before);
    expect(await counted(dropped)).toBe(1);
  });
});
