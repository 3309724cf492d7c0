import { setImmediate } from 'node:timers/promises';
import type { AuthResult, ErrorCode } from '@rind/contracts';
import type { Tokens } from '@rind/sdk/watermelon';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { SocketSignIn } from '../../src/auth/socket-sign-in.js';
import { Clock } from '../../src/platform/clock/clock.js';
import { DomainError } from '../../src/platform/errors/domain.error.js';
import { Connections } from '../../src/platform/realtime/connections.js';
import { ApiProcess } from '../support/api-process.js';
import { ManualClock } from '../support/manual-clock.js';
import { hold } from '../support/seams.js';
import { SyncedDevice } from '../support/synced-device.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Account, TestApp } from '../support/test-app.js';

const JWT_SECRET = 'a secret of at least thirty-two characters';
const PULL = 'GET /sync/pull';
const REFRESH = 'POST /auth/refresh';

let rind: TestApp;
let tests = 0;
const open: SyncedDevice[] = [];

beforeAll(async () => {
  rind = await TestApp.start({ env: { JWT_SECRET, LOG_LEVEL: 'fatal' } });
});
afterEach(async () => {
  tests += 1;
  jest.restoreAllMocks();
  await Promise.all(open.splice(0).map(({ sync }) => sync.stop()));
});
afterAll(() => rind.stop());

const tokensOf = ({ accessToken, refreshToken }: Tokens): Tokens => ({ accessToken, refreshToken });

function deviceOf(tokens: Tokens | null, baseUrl = rind.url): SyncedDevice {
  const device = new SyncedDevice(baseUrl, tokens && tokensOf(tokens), { realtime: true });
  open.push(device);
  return device;
}

/** The tokens of another device of the same user. */
async function signIn({ user, password }: Account): Promise<Account> {
  const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
    body: { email: user.email, password },
  });
  return { ...body, password, id: user.id } as Account;
}

/** Two devices of one user that listen. */
async function listeningPair(): Promise<{
  ada: Account;
  phone: SyncedDevice;
  tablet: SyncedDevice;
}> {
  const ada = await rind.signUp();
  const [phone, tablet] = [deviceOf(ada), deviceOf(await signIn(ada))];
  await listen(phone);
  await listen(tablet);
  return { ada, phone, tablet };
}

/** Resolves when this is true, asked again and again; gives up at the end of the test. */
async function until(isTrue: () => boolean, work: () => void = () => undefined): Promise<void> {
  const test = tests;
  while (!isTrue()) {
    if (test !== tests) throw new Error('It never happened');
    work();
    await setImmediate();
  }
}

/** Started, connected, and through with the pull that follows. */
async function listen(device: SyncedDevice): Promise<void> {
  const pulls = device.count(PULL);
  device.sync.start();
  await device.until(({ isListening }) => isListening);
  await untilWaiting(device, 1000);
  device.clock.advance(1000);
  await pulled(device, pulls + 2);
}

/** Resolves when the device has pulled so often, and may again. */
async function pulled(device: SyncedDevice, pulls: number): Promise<void> {
  await until(() => device.count(PULL) >= pulls);
  await device.reached('idle');
  device.clock.advance(1000);
}

/** Resolves when something is to happen after this time. */
async function untilWaiting(device: SyncedDevice, delayMs: number): Promise<void> {
  const isDue = () =>
    [...device.clock.timers].some(({ at }) => at === device.clock.now() + delayMs);
  await until(isDue);
}

/** The same token, over so many seconds from now. */
function expiringIn(seconds: number, { accessToken, refreshToken }: Tokens): Tokens {
  const { header, payload } = jwt.decode(accessToken, { complete: true })!;
  const now = Math.floor(Date.now() / 1000);
  const lifetime = Math.max(seconds, 900 * Number(seconds < 0));
  const claims = {
    ...(payload as jwt.JwtPayload),
    iat: now + seconds - lifetime,
    exp: now + seconds,
  };
  return { accessToken: jwt.sign(claims, JWT_SECRET, { header }), refreshToken };
}

const names = async ({ device }: SyncedDevice) =>
  (await device.dump())['projects']!.map(({ name }) => name).sort();

/** The server's clock from now on, for timers of sockets. */
function stopServerClock(): ManualClock {
  const clock = new ManualClock();
  const server = rind.app.get(Clock);
  jest.spyOn(server, 'now').mockImplementation(() => clock.now());
  jest
    .spyOn(server, 'setTimeout')
    .mockImplementation((callback, delayMs) => clock.setTimeout(callback, delayMs));
  jest.spyOn(server, 'clearTimeout').mockImplementation((timer) => clock.clearTimeout(timer));
  return clock;
}

const socketsOf = ({ id }: Account) => rind.app.get(Connections).inUser(id);

async function untilSockets(account: Account, count: number): Promise<void> {
  await until(() => socketsOf(account).length === count);
}

describe('wake-ups', () => {
  test('a push wakes the other device, and not the one that pushed', async () => {
    const { phone, tablet } = await listeningPair();
    await phone.device.create('projects', { name: 'House' });
    await phone.sync.requestSync();
    await pulled(tablet, 3);
    expect(await names(tablet)).toEqual(['House']);
    // Were it woken by its own push, it would pull now.
    phone.clock.advance(1000);
    await tablet.device.create('projects', { name: 'Boat' });
    await tablet.sync.requestSync();
    await pulled(phone, 4);
    expect(await names(phone)).toEqual(['Boat', 'House']);
    expect(phone.count(PULL)).toBe(4);
    expect(tablet.count(PULL)).toBe(4);
  });

  test('within a second of the last sync wait for its end', async () => {
    const { phone, tablet } = await listeningPair();
    await phone.syncNow();
    await tablet.device.create('projects', { name: 'Boat' });
    await tablet.sync.requestSync();
    await untilWaiting(phone, 1000);
    phone.clock.advance(999);
    expect(phone.count(PULL)).toBe(3);
    phone.clock.advance(1);
    await phone.reached('idle');
    expect(await names(phone)).toEqual(['Boat']);
  });

  test('are not listened for where the app does not want it', async () => {
    const ada = await rind.signUp();
    const phone = new SyncedDevice(rind.url, tokensOf(ada), { realtime: false });
    open.push(phone);
    phone.sync.start();
    await phone.until(({ lastSyncedAt }) => lastSyncedAt !== null);
    expect(socketsOf(ada)).toEqual([]);
    phone.clock.advance(1000);
    phone.sync.wake();
    await pulled(phone, 2);
    expect(phone.sync.status.isListening).toBe(false);
  });
});

describe('the token of an open socket', () => {
  test('is renewed before it expires, so that the socket stays', async () => {
    const serverClock = stopServerClock();
    const ada = await rind.signUp();
    const phone = deviceOf(expiringIn(100, ada));
    await listen(phone);
    const [socket] = socketsOf(ada);
    phone.clock.advance(90_000);
    const renewed = jest.spyOn(socket!, 'extendTo');
    await until(() => renewed.mock.calls.length > 0);
    serverClock.advance(200_000);
    expect(socketsOf(ada)).toEqual([socket]);
    expect(phone.count(REFRESH)).toBe(1);
    expect(phone.sync.status.isListening).toBe(true);
  });

  test('is refreshed once, together with what else needs it', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expiringIn(100, ada));
    await listen(phone);
    const used = phone.tokens.stored!;
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    phone.fetch = async (request, send) => {
      if (request === REFRESH) {
        arrived.resolve();
        await held.promise;
      }
      return send();
    };
    phone.clock.advance(90_000);
    await arrived.promise;
    const refreshed = phone.sync.refreshTokens(used);
    held.resolve();
    expect(await refreshed).toEqual(phone.tokens.stored);
    expect(phone.count(REFRESH)).toBe(1);
  });

  test('may expire unseen, on a device whose clock is slow: the next socket has a new one', async () => {
    const serverClock = stopServerClock();
    const ada = await rind.signUp();
    const phone = deviceOf(expiringIn(100, ada));
    await listen(phone);
    phone.tokens.stored = expiringIn(-1, ada);
    serverClock.advance(200_000);
    await phone.until(({ isListening }) => !isListening);
    phone.clock.advance(2000);
    await phone.until(({ isListening }) => isListening);
    expect(phone.count(REFRESH)).toBe(1);
    expect(phone.sync.status.lastError).toBeNull();
  });

  test('is not renewed again and again on a device whose clock is fast', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expiringIn(100, ada));
    phone.clock.advance(3_600_000);
    await listen(phone);
    await until(
      () => phone.count(REFRESH) > 0,
      () => phone.clock.advance(1),
    );
    // Half of the new token's lifetime: more than anything else waits for.
    const renewsAt = () => Math.max(...[...phone.clock.timers].map(({ at }) => at));
    await until(() => renewsAt() - phone.clock.now() > 440_000);
    expect(phone.count(REFRESH)).toBe(1);
  });

  test('that is another user by now is left for a socket of that user', async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(expiringIn(100, ada));
    await listen(phone);
    phone.tokens.stored = tokensOf(eve);
    phone.clock.advance(90_000);
    await phone.until(({ isListening }) => !isListening);
    phone.clock.advance(2000);
    await untilSockets(eve, 1);
    expect(socketsOf(ada)).toEqual([]);
  });
});

describe('a refused handshake', () => {
  test('behind an expired token is made up for by the refresh that the sync shares', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expiringIn(-1, ada));
    phone.sync.start();
    await until(
      () => phone.sync.status.isListening,
      () => phone.clock.advance(1),
    );
    expect(phone.count(REFRESH)).toBe(1);
    expect(phone.sync.status.lastError).toBeNull();
  });

  test.each<ErrorCode>(['rate_limited', 'service_unavailable', 'internal_error'])(
    '(%s) is tried again with growing delays',
    async (code) => {
      const identify = jest
        .spyOn(rind.app.get(SocketSignIn), 'identify')
        .mockRejectedValue(new DomainError(code));
      const phone = deviceOf(await rind.signUp());
      phone.sync.start();
      for (const delayMs of [2000, 4000, 8000]) {
        await untilWaiting(phone, delayMs);
        phone.clock.advance(delayMs - 1);
        await setImmediate();
        const attempts = identify.mock.calls.length;
        phone.clock.advance(1);
        await until(() => identify.mock.calls.length > attempts);
      }
      identify.mockRestore();
      await untilWaiting(phone, 16_000);
      phone.clock.advance(16_000);
      await phone.until(({ isListening }) => isListening);
      expect(phone.count(REFRESH)).toBe(0);
    },
  );

  test('for which a refresh does not help is not tried again and again', async () => {
    const identify = jest
      .spyOn(rind.app.get(SocketSignIn), 'identify')
      .mockRejectedValue(new DomainError('access_token_expired'));
    const phone = deviceOf(await rind.signUp());
    phone.sync.start();
    await untilWaiting(phone, 2000);
    phone.clock.advance(2000);
    await untilWaiting(phone, 4000);
    expect(phone.count(REFRESH)).toBe(3);
    expect(identify).toHaveBeenCalledTimes(3);
    expect(phone.sync.status.state).toBe('idle');
  });

  test('of a session that is over signs out, and nothing is tried until a sign-in', async () => {
    const ada = await rind.signUp();
    await rind.request('POST', '/auth/logout', { token: ada.accessToken });
    const phone = deviceOf(ada);
    phone.sync.start();
    await phone.reached('signed_out');
    for (let turn = 0; turn < 100; turn += 1) await setImmediate();
    phone.clock.advance(3_600_000);
    await setImmediate();
    expect(phone.count(PULL)).toBe(1);
    expect(socketsOf(ada)).toEqual([]);

    phone.tokens.stored = tokensOf(await signIn(ada));
    await phone.syncNow();
    await phone.until(({ isListening }) => isListening);
  });
});

describe('the end of a session', () => {
  test('signs out when a refresh says so, at once', async () => {
    const { ada, phone, tablet } = await listeningPair();
    await rind.request('POST', '/auth/logout', { token: ada.accessToken });
    await phone.reached('signed_out');
    expect(phone.sync.status).toMatchObject({
      isListening: false,
      lastError: { code: 'refresh_token_invalid' },
    });
    expect(phone.requests.at(-1)).toBe(REFRESH);
    expect(tablet.sync.status).toMatchObject({ state: 'idle', isListening: true });
  });

  test('does not sign out who has signed in again meanwhile', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(ada);
    await listen(phone);
    phone.tokens.stored = tokensOf(await signIn(ada));
    const states = new Set<string>();
    phone.sync.subscribe(() => states.add(phone.sync.status.state));
    // It may listen again before the answer is here.
    const interrupted = phone.until(({ isListening }) => !isListening);
    await rind.request('POST', '/auth/logout', { token: ada.accessToken });
    await interrupted;
    await pulled(phone, 3);
    await phone.until(({ isListening }) => isListening);
    expect([...states].sort()).toEqual(['idle', 'syncing']);
    expect(phone.count(REFRESH)).toBe(0);
  });
});

describe('another account', () => {
  test('is listened for after the hand-over, and the one before is not', async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(ada);
    await listen(phone);
    await phone.sync.stop();
    const { database } = phone.device;
    await database.write(() => database.unsafeResetDatabase());
    phone.tokens.stored = tokensOf(eve);
    await listen(phone);
    expect([socketsOf(ada).length, socketsOf(eve).length]).toEqual([0, 1]);
    const other = deviceOf(await signIn(eve));
    await other.device.create('projects', { name: "Eve's" });
    const pulls = phone.count(PULL);
    await other.sync.requestSync();
    await pulled(phone, pulls + 1);
    expect(await names(phone)).toEqual(["Eve's"]);
  });

  test('that signed in without a stop is followed after the next sync', async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(ada);
    await listen(phone);
    const { database } = phone.device;
    await database.write(() => database.unsafeResetDatabase());
    phone.tokens.stored = tokensOf(eve);
    await phone.syncNow();
    await untilSockets(eve, 1);
    await untilSockets(ada, 0);
  });
});

describe('a socket that breaks', () => {
  test('behind a server that restarts is opened again, and what was missed is pulled', async () => {
    const ada = await rind.signUp();
    const before = await ApiProcess.start({ DATABASE_URL: rind.database.url, JWT_SECRET });
    const proxy = await TcpProxy.start(new URL(before.url).origin);
    const phone = deviceOf(ada, new URL(proxy.url).origin);
    await listen(phone);
    proxy.refuse();
    await before.stop();
    await phone.until(({ isListening }) => !isListening);
    const tablet = deviceOf(await signIn(ada));
    await tablet.device.create('projects', { name: 'Missed' });
    await tablet.syncNow();

    await untilWaiting(phone, 2000);
    phone.clock.advance(2000);
    await untilWaiting(phone, 4000);
    const pulls = phone.count(PULL);
    proxy.retarget(rind.url);
    proxy.pass();
    phone.clock.advance(4000);
    await pulled(phone, pulls + 1);
    expect(phone.sync.status).toMatchObject({ isListening: true, lastError: null });
    expect(await names(phone)).toEqual(['Missed']);
    await phone.sync.stop();
    await proxy.close();
  });

  test('is opened again as soon as a sync gets through', async () => {
    const ada = await rind.signUp();
    const proxy = await TcpProxy.start(rind.url);
    const phone = deviceOf(ada, new URL(proxy.url).origin);
    proxy.refuse();
    phone.sync.start();
    await phone.reached('offline');
    await untilWaiting(phone, 2000);
    proxy.pass();
    const connected = phone.until(({ isListening }) => isListening);
    void phone.sync.requestSync({ skipBackOff: true });
    phone.clock.advance(1000);
    await connected;
    await phone.sync.stop();
    await proxy.close();
  });
});

describe('stop', () => {
  test('ends the socket, and nothing is left', async () => {
    const { ada, phone, tablet } = await listeningPair();
    for (const device of [phone, tablet]) {
      await device.sync.stop();
      expect(device.sync.status.isListening).toBe(false);
      expect(device.clock.timers.size).toBe(0);
    }
    await untilSockets(ada, 0);
  });

  test('while the socket is still opening leaves nothing either', async () => {
    const ada = await rind.signUp();
    const held = hold(rind.app.get(SocketSignIn), 'identify', 'before');
    const phone = deviceOf(ada);
    phone.sync.start();
    await held.reached;
    await phone.until(({ lastSyncedAt }) => lastSyncedAt !== null);
    await phone.sync.stop();
    expect(phone.clock.timers.size).toBe(0);
    held.release();
    await untilSockets(ada, 0);
    expect(phone.sync.status.isListening).toBe(false);
  });
});
