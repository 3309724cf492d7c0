import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AuthResult, PullResult, PushResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiProcess } from '../support/api-process.js';
import { HttpBalancer } from '../support/http-balancer.js';
import { findNginx, Nginx } from '../support/nginx.js';
import { RealtimeClient } from '../support/realtime-client.js';
import { RoundRobin } from '../support/round-robin.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../support/test-database.js';

const DEVICES = 4;
const ROUNDS = 5;
const password = 'correct horse battery';

/** Stops at the first request that is not answered as it should be. */
class BusyDevice extends EventEmitter<{ round: [] }> {
  readonly email = `${randomUUID()}@example.com`;
  /** What was acknowledged. */
  readonly pushed: string[] = [];
  /** What came, in all pulls from a cursor. */
  readonly pulled: string[] = [];
  /** Once, as when its token is about to expire: more than a few in a minute are refused. */
  needsRefresh = false;
  /** One connection, which is never idle for long. */
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });
  private tokens: Partial<AuthResult> = {};
  private cursor = 0;
  private isOver = false;

  constructor(private readonly url: string) {
    super();
  }

  async signUp(): Promise<void> {
    const account = { email: this.email, password, displayName: 'Ada' };
    this.tokens = await this.send<AuthResult>('POST', '/auth/register', account);
    this.cursor = (await this.send<PullResult>('GET', '/sync/pull')).timestamp;
  }

  async goRound(): Promise<void> {
    await this.push();
    const { changes, timestamp } = await this.send<PullResult>(
      'GET',
      `/sync/pull?lastPulledAt=${this.cursor}`,
    );
    expect(timestamp).toBeGreaterThan(this.cursor);
    this.cursor = timestamp;
    this.pulled.push(...projectsOf(changes));
    if (this.needsRefresh) await this.refresh();
    this.emit('round');
  }

  async goOn(): Promise<void> {
    while (!this.isOver) await this.goRound();
  }

  end(): void {
    this.isOver = true;
  }

  async push(): Promise<PushResult> {
    const id = randomUUID();
    const result = await this.send<PushResult>('POST', '/sync/push', {
      changes: { projects: { created: [{ id, name: 'n' }] } },
      lastPulledAt: this.cursor,
    });
    this.pushed.push(id);
    return result;
  }

  private async refresh(): Promise<void> {
    this.needsRefresh = false;
    const { refreshToken } = this.tokens;
    this.tokens = await this.send<AuthResult>('POST', '/auth/refresh', { refreshToken });
  }

  /** All that the server has. */
  async pullAll(): Promise<string[]> {
    return projectsOf((await this.send<PullResult>('GET', '/sync/pull')).changes);
  }

  /** The token of another session of its user. */
  async signInElsewhere(): Promise<string> {
    const credentials = { email: this.email, password };
    return (await this.send<AuthResult>('POST', '/auth/login', credentials)).accessToken!;
  }

  close(): void {
    this.agent.destroy();
  }

  private async send<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const { accessToken } = this.tokens;
    const sent = request(`${this.url}/api/v1${path}`, {
      agent: this.agent,
      method,
      headers: {
        ...(accessToken && { authorization: `Bearer ${accessToken}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
    });
    sent.end(body && JSON.stringify(body));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const answered = await text(answer);
    if (![200, 201].includes(answer.statusCode!))
      throw new Error(`${method} ${path}: ${answer.statusCode} ${answered}`);
    return JSON.parse(answered) as Body;
  }
}

const projectsOf = (changes: PullResult['changes']): string[] =>
  changes['projects']!.updated.map((row) => (row as { id: string }).id);

describe('two processes that are replaced one after the other under load', () => {
  let database: TestDatabase;
  let processes: ApiProcess[];
  let balancer: HttpBalancer | RoundRobin | Nginx;
  let devices: BusyDevice[];
  let sockets: RealtimeClient[];
  const started: ApiProcess[] = [];

  async function start(port?: number): Promise<ApiProcess> {
    const environment = {
      ...databaseEnvironment(database),
      LOG_LEVEL: 'error',
      // As in production.
      SHUTDOWN_DELAY_SECONDS: '3',
      RATE_LIMIT_ANON_PER_MINUTE: '0',
      RATE_LIMIT_USER_PER_MINUTE: '0',
      RATE_LIMIT_SYNC_PER_MINUTE: '0',
      RATE_LIMIT_AUTH_PER_MINUTE: '0',
      // nginx is one.
      TRUST_PROXY: '1',
    };
    const api = await ApiProcess.start(environment, port === undefined ? {} : { port });
    started.push(api);
    return api;
  }

  beforeAll(async () => {
    database = await createTestDatabase();
    processes = await Promise.all([start(), start()]);
  });
  afterEach(async () => {
    for (const device of devices) {
      device.end();
      device.close();
    }
    for (const socket of sockets) socket.close();
    await balancer.close();
  });
  afterAll(async () => {
    await Promise.all(started.map((api) => api.stop()));
    await database.drop();
  });

  /** Replaces both, in the way given, and looks at what the devices have seen. */
  async function replaceBoth(replace: (old: ApiProcess) => Promise<ApiProcess>): Promise<void> {
    sockets = [];
    devices = Array.from({ length: DEVICES }, () => new BusyDevice(balancer.url));
    await Promise.all(devices.map((device) => device.signUp()));
    const [listened] = devices as [BusyDevice];
    const token = await listened.signInElsewhere();
    // The balancer takes turns: one on each process.
    for (const _process of processes)
      sockets.push(
        await RealtimeClient.connect(balancer.url, token, {
          reconnection: true,
          reconnectionDelay: 100,
        }),
      );
    const disconnections = sockets.map((socket) => socket.disconnected());

    const load = Promise.all(devices.map((device) => device.goOn()));
    load.catch(() => undefined);
    await Promise.race([load, replaceEach(replace)]);
    for (const device of devices) device.end();
    await load;

    for (const device of devices) {
      expect(device.pulled).toEqual(device.pushed);
      expect((await device.pullAll()).toSorted()).toEqual(device.pushed.toSorted());
    }
    expect(await Promise.all(disconnections)).toEqual(sockets.map(() => 'transport close'));
    await Promise.all(sockets.map((socket) => socket.connected()));
    const { timestamp } = await listened.push();
    await Promise.all(sockets.map((socket) => untilWoken(socket, timestamp)));
  }

  async function replaceEach(replace: (old: ApiProcess) => Promise<ApiProcess>): Promise<void> {
    await untilUsed();
    for (const old of processes) {
      for (const device of devices) device.needsRefresh = true;
      const fresh = await replace(old);
      processes = processes.map((api) => (api === old ? fresh : api));
      await untilUsed();
    }
  }

  /** Every device has gone round a few times from now on. */
  async function untilUsed(): Promise<void> {
    await Promise.all(
      devices.map(async (device) => {
        for (let round = 0; round < ROUNDS; round += 1) await once(device, 'round');
      }),
    );
  }

  /** Resolves when one of the events is of this change. */
  async function untilWoken(client: RealtimeClient, timestamp: number): Promise<void> {
    for (let count = 1; ; count += 1) {
      const events = await client.receive('sync:changed', count);
      if (events[count - 1]!.timestamp >= timestamp) return;
    }
  }

  test('lose nothing behind a balancer of requests that asks whether they are ready', async () => {
    const http = await HttpBalancer.start(processes.map(({ url }) => url));
    balancer = http;
    await replaceBoth(async (old) => {
      const [code, fresh] = await Promise.all([old.stop(), start()]);
      expect([code, old.output]).toEqual([0, '']);
      http.remove(old.url);
      await http.add(fresh.url);
      await http.answered(fresh.url, ROUNDS);
      return fresh;
    });
  }, 180_000);

  test('lose nothing behind a balancer of connections, whose clients keep theirs open', async () => {
    const tcp = await RoundRobin.start(processes.map(({ url }) => url));
    balancer = tcp;
    await replaceBoth(async (old) => {
      const stopped = old.stop();
      tcp.remove(old.url);
      const [code, fresh] = await Promise.all([stopped, start()]);
      expect([code, old.output]).toEqual([0, '']);
      tcp.add(fresh.url);
      return fresh;
    });
  }, 180_000);

  const nginx = findNginx();
  (nginx === null ? test.skip : test)(
    'lose nothing behind nginx with the site of ops/nginx, which never asks whether they are ready',
    async () => {
      balancer = await Nginx.start(
        nginx!,
        processes.map(({ url }) => url),
      );
      await replaceBoth(async (old) => {
        expect([await old.stop(), old.output]).toEqual([0, '']);
        return start(Number(new URL(old.url).port));
      });
    },
    180_000,
  );
});
