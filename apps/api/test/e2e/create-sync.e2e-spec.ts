import { setImmediate } from 'node:timers/promises';
import {
  appSchemaFrom,
  findViolations,
  migrationsFrom,
  type SyncSchema,
  type SyncSchemaTable,
  type Tokens,
} from '@rind/sdk/watermelon';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { clientComplaints } from '../support/device.js';
import { firstRelease } from '../support/device-schema.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { type Fetch, SyncedDevice } from '../support/synced-device.js';
import { type Account, TestApp } from '../support/test-app.js';

const JWT_SECRET = 'a secret of at least thirty-two characters';
const PULL = 'GET /sync/pull';
const PUSH = 'POST /sync/push';
const REFRESH = 'POST /auth/refresh';
const empty = {
  projects: [],
  tasks: [],
  notifications: [expect.objectContaining({ type: 'welcome' })],
};

let rind: TestApp;
let proxy: FaultyProxy;
const open: SyncedDevice[] = [];

beforeAll(async () => {
  // Requests that are killed on purpose are errors to the server.
  rind = await TestApp.start({ env: { JWT_SECRET, LOG_LEVEL: 'fatal' } });
  proxy = await FaultyProxy.start(rind.url);
});
beforeEach(() => {
  clientComplaints.length = 0;
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ sync }) => sync.stop()));
});
afterAll(async () => {
  await proxy.close();
  await rind.stop();
});

const tokensOf = ({ accessToken, refreshToken }: Account): Tokens => ({
  accessToken,
  refreshToken,
});

function deviceOf(tokens: Tokens | null, baseUrl = rind.url): SyncedDevice {
  const device = new SyncedDevice(baseUrl, tokens);
  open.push(device);
  return device;
}

async function syncUntilEqual(...all: SyncedDevice[]): Promise<void> {
  for (const device of [...all, ...all]) await device.syncNow();
  const [first, ...others] = await Promise.all(all.map(({ device }) => device.dump()));
  for (const other of others) expect(other).toEqual(first);
  for (const { device } of all) expect(await device.hasUnsyncedChanges()).toBe(false);
}

/** The same token, its time over. */
function expired({ accessToken, refreshToken }: Tokens): Tokens {
  const { header, payload } = jwt.decode(accessToken, { complete: true })!;
  const now = Math.floor(Date.now() / 1000);
  const claims = { ...(payload as jwt.JwtPayload), iat: now - 900, exp: now - 1 };
  return { accessToken: jwt.sign(claims, JWT_SECRET, { header }), refreshToken };
}

/** Runs before the first request of a kind is sent. */
function once(request: string, work: () => Promise<unknown>): Fetch {
  let isDone = false;
  return async (sent, send) => {
    if (sent === request && !isDone) {
      isDone = true;
      await work();
    }
    return send();
  };
}

const names = async ({ device }: SyncedDevice) =>
  (await device.dump())['projects']!.map(({ name }) => name).sort();

describe('heartbeat through createSync()', () => {
  test('two devices create, edit and delete offline, and end up identical; a stranger sees nothing', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(tokensOf(ada)), deviceOf(tokensOf(ada))];
    const foreign = deviceOf(tokensOf(await rind.signUp()));
    const house = await phone.device.create('projects', { name: 'House' });
    const paint = await phone.device.create('tasks', { title: 'Paint', project_id: house });
    const boat = await tablet.device.create('projects', { name: 'Boat' });
    await tablet.device.create('tasks', { title: 'Mend the sail', project_id: boat });
    await syncUntilEqual(phone, tablet);
    expect(await names(phone)).toEqual(['Boat', 'House']);

    await phone.device.update('tasks', paint, { title: 'Paint the door' });
    await tablet.device.update('tasks', paint, { is_completed: true });
    await tablet.device.delete('projects', boat);
    await syncUntilEqual(phone, tablet);
    const { projects, tasks } = await phone.device.dump();
    expect(projects).toEqual([expect.objectContaining({ id: house })]);
    expect(tasks).toEqual([
      expect.objectContaining({ id: paint, title: 'Paint the door', is_completed: true }),
    ]);

    await foreign.syncNow();
    expect(await foreign.device.dump()).toEqual(empty);
    expect(clientComplaints).toEqual([]);
  });

  test('a conflict is pulled, merged and pushed again within one sync (rule 29)', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(tokensOf(ada)), deviceOf(tokensOf(ada))];
    const id = await phone.device.create('projects', { name: 'First' });
    await syncUntilEqual(phone, tablet);
    await phone.device.update('projects', id, { name: 'From the phone' });
    await tablet.device.update('projects', id, { description: 'From the tablet' });
    phone.requests.length = 0;
    phone.fetch = once(PUSH, () => tablet.syncNow());
    await phone.syncNow();
    expect(phone.requests).toEqual([PULL, PUSH, PULL, PUSH]);
    await syncUntilEqual(phone, tablet);
    expect(await tablet.device.row('projects', id)).toMatchObject({
      name: 'From the phone',
      description: 'From the tablet',
    });
  });

  test('a second conflict in a row is left to the back-off', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(tokensOf(ada)), deviceOf(tokensOf(ada))];
    const id = await phone.device.create('projects', { name: 'First' });
    await syncUntilEqual(phone, tablet);
    await phone.device.update('projects', id, { name: 'From the phone' });
    phone.fetch = async (request, send) => {
      if (request === PUSH) {
        await tablet.device.update('projects', id, { description: `${phone.requests.length}` });
        await tablet.syncNow();
      }
      return send();
    };
    phone.requests.length = 0;
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'sync_conflict' });
    expect(phone.requests).toEqual([PULL, PUSH, PULL, PUSH]);
    expect(phone.sync.status).toMatchObject({
      state: 'waiting',
      until: phone.clock.now() + 2000,
      lastError: { problem: { code: 'sync_conflict', status: 409 } },
    });
    phone.fetch = (_request, send) => send();
    phone.clock.advance(2000);
    await syncUntilEqual(phone, tablet);
  });
});

describe('lost answers', () => {
  test.each([
    ['pull', 'loseAnswer', '/sync/pull'],
    ['pull', 'cutAnswer', '/sync/pull'],
    ['push', 'loseAnswer', '/sync/push'],
    ['push', 'killRequest', '/sync/push'],
  ] as const)('of a %s (%s) are made up for by the next attempt', async (_kind, fault, path) => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(tokensOf(ada), proxy.url), deviceOf(tokensOf(ada))];
    await tablet.device.create('projects', { name: 'Boat' });
    await tablet.syncNow();
    await phone.device.create('projects', { name: 'House' });
    proxy[fault](path);
    phone.sync.start();
    await phone.reached('offline');
    expect(phone.sync.status).toMatchObject({
      until: phone.clock.now() + 2000,
      lastError: { code: 'network_error', problem: null },
    });
    phone.clock.advance(2000);
    await phone.reached('idle');
    expect(phone.sync.status).toMatchObject({ lastError: null, lastSyncedAt: phone.clock.now() });
    await syncUntilEqual(phone, tablet);
    expect(await names(tablet)).toEqual(['Boat', 'House']);
    expect(clientComplaints).toEqual([]);
  });
});

describe('tokens', () => {
  test('an expired access token is exchanged, and the new one is used once it is stored', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expired(tokensOf(ada)));
    await phone.device.create('projects', { name: 'House' });
    const saving = Promise.withResolvers<Tokens>();
    const saved = Promise.withResolvers<void>();
    phone.tokens.save = async (tokens) => {
      saving.resolve(tokens);
      await saved.promise;
      phone.tokens.stored = tokens;
    };
    const synced = phone.syncNow();
    const renewed = await saving.promise;
    expect(renewed.refreshToken).not.toBe(ada.refreshToken);
    await setImmediate();
    expect(phone.requests).toEqual([PULL, REFRESH]);
    saved.resolve();
    await synced;
    expect(phone.requests).toEqual([PULL, REFRESH, PULL, PUSH]);
    expect(await phone.device.hasUnsyncedChanges()).toBe(false);
  });

  test('a token that expires between pull and push is exchanged there', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(tokensOf(ada));
    await phone.device.create('projects', { name: 'House' });
    phone.fetch = async (request, send) => {
      const answer = await send();
      if (request === PULL) phone.tokens.stored = expired(phone.tokens.stored!);
      return answer;
    };
    await phone.syncNow();
    expect(phone.requests).toEqual([PULL, PUSH, REFRESH, PUSH]);
  });

  test('the app shares the refresh that a sync is waiting for', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expired(tokensOf(ada)));
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    phone.fetch = once(REFRESH, () => {
      arrived.resolve();
      return held.promise;
    });
    const used = phone.tokens.stored!;
    const synced = phone.syncNow();
    await arrived.promise;
    const refreshed = phone.sync.refreshTokens(used);
    held.resolve();
    await synced;
    expect(await refreshed).toEqual(phone.tokens.stored);
    expect(phone.count(REFRESH)).toBe(1);
  });

  test('a lost answer to the refresh signs nobody out', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(expired(tokensOf(ada)), proxy.url);
    proxy.loseAnswer('/auth/refresh');
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'network_error' });
    expect(phone.sync.status.state).toBe('offline');
    expect(phone.tokens.stored!.refreshToken).toBe(ada.refreshToken);
    phone.clock.advance(2000);
    await phone.syncNow();
    expect(phone.sync.status.state).toBe('idle');
  });

  test('an ended session signs out, keeps local data and waits for a sign-in', async () => {
    const ada = await rind.signUp();
    const phone = deviceOf(tokensOf(ada));
    phone.sync.start();
    await phone.reached('syncing');
    await phone.reached('idle');
    const id = await phone.device.create('projects', { name: 'Unsynced' });
    await rind.request('POST', '/auth/logout', { token: ada.accessToken });
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'session_ended' });
    expect(phone.sync.status).toMatchObject({ state: 'signed_out', until: null });
    const sent = phone.requests.length;
    phone.sync.wake();
    await setImmediate();
    phone.clock.advance(3_600_000);
    expect(phone.requests).toHaveLength(sent);
    expect(await phone.device.row('projects', id)).toMatchObject({ _status: 'created' });

    const { data } = await rind.api.login({
      body: { email: ada.user.email, password: ada.password },
      throwOnError: true,
    });
    phone.tokens.stored = tokensOf(data as Account);
    await phone.syncNow();
    expect(await phone.device.hasUnsyncedChanges()).toBe(false);
  });

  test.each(['refresh_token_invalid', 'refresh_token_reused'] as const)(
    '%s signs out',
    async (code) => {
      const ada = await rind.signUp();
      const tokens = expired(tokensOf(ada));
      const phone = deviceOf(
        code === 'refresh_token_invalid' ? { ...tokens, refreshToken: 'nonsense' } : tokens,
      );
      // Somebody else uses the token twice, so that it is two behind.
      let { refreshToken } = ada;
      for (let count = 0; count < 2; count += 1) {
        const { body } = await rind.request<Tokens>('POST', '/auth/refresh', {
          body: { refreshToken },
        });
        refreshToken = body.refreshToken;
      }
      await expect(phone.syncNow()).rejects.toMatchObject({ code });
      expect(phone.sync.status.state).toBe('signed_out');
    },
  );

  test('without tokens nothing is sent', async () => {
    const phone = deviceOf(null);
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'signed_out' });
    expect(phone.requests).toEqual([]);
    expect(phone.sync.status.state).toBe('signed_out');
  });
});

describe('the account guard', () => {
  test("another account's answer is not applied and nothing is pushed, until a reset", async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(tokensOf(ada));
    const other = deviceOf(tokensOf(eve));
    await other.device.create('projects', { name: "Eve's" });
    await other.syncNow();
    await phone.device.create('projects', { name: "Ada's" });
    await phone.syncNow();
    const cursor = await phone.device.lastPulledAt();
    await phone.device.create('projects', { name: "Ada's unsynced" });

    phone.tokens.stored = tokensOf(eve);
    phone.requests.length = 0;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(phone.syncNow()).rejects.toMatchObject({ code: 'account_changed' });
      expect(phone.sync.status.state).toBe('account_changed');
    }
    expect(phone.count(PUSH)).toBe(0);
    expect(await names(phone)).toEqual(["Ada's", "Ada's unsynced"]);
    expect(await phone.device.lastPulledAt()).toBe(cursor);

    await phone.sync.stop();
    const { database } = phone.device;
    await database.write(() => database.unsafeResetDatabase());
    await phone.syncNow();
    expect(await names(phone)).toEqual(["Eve's"]);
    await syncUntilEqual(phone, other);
  });

  test('the owner may go on after another account was refused', async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(tokensOf(ada));
    await phone.syncNow();
    await phone.device.create('projects', { name: "Ada's" });
    phone.tokens.stored = tokensOf(eve);
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'account_changed' });
    phone.tokens.stored = tokensOf(ada);
    await phone.syncNow();
    expect(await phone.device.hasUnsyncedChanges()).toBe(false);
  });

  test.each(['at once', 'behind an expired token'])(
    'nothing is pushed when another user signs in between pull and push, %s',
    async (moment) => {
      const [ada, eve] = [await rind.signUp(), await rind.signUp()];
      const phone = deviceOf(tokensOf(ada));
      await phone.device.create('projects', { name: "Ada's" });
      const pulledAs = moment === 'at once' ? tokensOf(eve) : expired(tokensOf(ada));
      phone.fetch = async (request, send) => {
        const answer = await send();
        if (request === PULL) phone.tokens.stored = pulledAs;
        // The refused push finds that somebody has signed in meanwhile.
        if (request === PUSH) phone.tokens.stored = tokensOf(eve);
        return answer;
      };
      await expect(phone.syncNow()).rejects.toMatchObject({ code: 'account_changed' });
      expect(phone.requests).toEqual(moment === 'at once' ? [PULL] : [PULL, PUSH]);
      expect(await phone.device.hasUnsyncedChanges()).toBe(true);
      const { rows } = await rind.sql.query('SELECT FROM projects WHERE user_id = ANY ($1)', [
        [ada.id, eve.id],
      ]);
      expect(rows).toEqual([]);
    },
  );

  test('a late answer for the previous user does not claim a database that was reset', async () => {
    const [ada, eve] = [await rind.signUp(), await rind.signUp()];
    const phone = deviceOf(tokensOf(ada));
    const { database } = phone.device;
    phone.fetch = async (request, send) => {
      const answer = await send();
      if (request === PULL) await database.write(() => database.unsafeResetDatabase());
      return answer;
    };
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'client_error' });
    phone.fetch = (_request, send) => send();
    phone.tokens.stored = tokensOf(eve);
    await phone.syncNow();
    expect(phone.sync.status.state).toBe('idle');
  });
});

describe('wake-ups', () => {
  test('at or below the cursor are ignored, above it they pull', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    phone.sync.start();
    await phone.reached('syncing');
    await phone.reached('idle');
    const cursor = (await phone.device.lastPulledAt())!;
    phone.clock.advance(1000);
    for (const timestamp of [cursor, cursor - 1, 0]) phone.sync.wake(timestamp);
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    expect(phone.count(PULL)).toBe(1);
    phone.sync.wake(cursor + 1);
    await phone.reached('syncing');
    await phone.reached('idle');
    phone.clock.advance(1000);
    phone.sync.wake();
    await phone.reached('syncing');
    await phone.reached('idle');
    expect(phone.count(PULL)).toBe(3);
  });

  test('during a sync count only if it did not bring their news', async () => {
    const ada = await rind.signUp();
    const [phone, tablet] = [deviceOf(tokensOf(ada)), deviceOf(tokensOf(ada))];
    let news = 0;
    phone.fetch = once(PULL, async () => {
      await tablet.device.create('projects', { name: 'Boat' });
      await tablet.syncNow();
      news = (await tablet.syncNow()).timestamp;
      phone.sync.wake(news);
    });
    phone.sync.start();
    await phone.reached('idle');
    expect(await phone.device.lastPulledAt()).toBe(news);
    phone.clock.advance(1000);
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    expect(phone.count(PULL)).toBe(1);

    phone.fetch = async (request, send) => {
      const answer = await send();
      if (request === PULL && phone.count(PULL) === 2) {
        // The highest counts, in whatever order they arrive.
        for (const timestamp of [news + 1, news, NaN]) phone.sync.wake(timestamp);
      }
      return answer;
    };
    await phone.syncNow();
    await setImmediate();
    phone.clock.advance(1000);
    await phone.reached('syncing');
    await phone.reached('idle');
    expect(phone.count(PULL)).toBe(3);
  });
});

describe('the schedule', () => {
  test('one sync runs, one is pending, further requests join it', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()), proxy.url);
    const pull = proxy.holdRequest('/sync/pull');
    const first = phone.syncNow();
    await pull.struck;
    const pending = [phone.sync.requestSync(), phone.sync.requestSync(), phone.sync.requestSync()];
    expect(new Set(pending).size).toBe(1);
    pull.release();
    await first;
    phone.clock.advance(1000);
    await pending[0];
    expect(phone.count(PULL)).toBe(2);
    expect(phone.clock.timers.size).toBe(0);
  });

  test('pulls every five minutes, and leaves no timer behind', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    phone.sync.start();
    await phone.reached('syncing');
    await phone.reached('idle');
    phone.clock.advance(299_999);
    expect(phone.sync.status.state).toBe('idle');
    phone.clock.advance(1);
    expect(phone.sync.status.state).toBe('syncing');
    await phone.reached('idle');
    expect(phone.count(PULL)).toBe(2);
    await phone.sync.stop();
    expect(phone.clock.timers.size).toBe(0);
  });

  test('stop breaks off a request that hangs', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()), proxy.url);
    const pull = proxy.holdRequest('/sync/pull');
    const synced = phone.syncNow();
    await pull.struck;
    const stopped = phone.sync.stop();
    await expect(synced).rejects.toMatchObject({ code: 'stopped' });
    await stopped;
    pull.release();
    expect(phone.clock.timers.size).toBe(0);
    expect(phone.sync.status.state).toBe('idle');
    await phone.syncNow();
  });

  test.each([
    ['pull', 1, []],
    ['push', 2, [PULL]],
  ])('nothing is sent after stop, here before the %s', async (_request, loads, requests) => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    await phone.device.create('projects', { name: 'House' });
    const stopped = Promise.withResolvers<void>();
    let loaded = 0;
    phone.tokens.load = () => {
      loaded += 1;
      if (loaded === loads) stopped.resolve(phone.sync.stop());
      return Promise.resolve(phone.tokens.stored);
    };
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'stopped' });
    await stopped.promise;
    expect(phone.requests).toEqual(requests);
  });

  test('a request without an answer counts as lost after five minutes', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()), proxy.url);
    const pull = proxy.holdRequest('/sync/pull');
    const synced = phone.syncNow();
    await pull.struck;
    phone.clock.advance(300_000);
    await expect(synced).rejects.toMatchObject({ code: 'network_error' });
    pull.release();
  });

  test("the server's Retry-After is kept, whatever the app asks for", async () => {
    const limited = await TestApp.start({
      database: rind.database,
      env: { JWT_SECRET, RATE_LIMIT_SYNC_PER_MINUTE: '1' },
    });
    try {
      const phone = deviceOf(tokensOf(await rind.signUp()), limited.url);
      phone.sync.start();
      await phone.reached('syncing');
      await phone.reached('idle');
      await expect(phone.syncNow()).rejects.toMatchObject({ code: 'rate_limited', status: 429 });
      const { state, until, lastError } = phone.sync.status;
      const retryAfterMs = lastError!.retryAfterMs!;
      expect(retryAfterMs).toBeGreaterThan(2000);
      expect([state, until]).toEqual(['waiting', phone.clock.now() + retryAfterMs]);
      void phone.sync.requestSync({ skipBackOff: true });
      phone.sync.wake();
      phone.clock.advance(retryAfterMs - 1);
      expect(phone.count(PULL)).toBe(2);
      phone.clock.advance(1);
      await phone.reached('syncing');
      await phone.reached('waiting');
      expect(phone.count(PULL)).toBe(3);
    } finally {
      await limited.stop();
    }
  });

  test.each([
    ['a captive portal', () => new Response('<html>', { status: 200 })],
    ['a broken proxy', () => new Response('<html>', { status: 502 })],
    ['another service', () => Response.json({ changes: {}, timestamp: 1 })],
  ])('an answer of %s changes nothing and is tried again', async (_who, answer) => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    phone.fetch = answer;
    await expect(phone.syncNow()).rejects.toMatchObject({ code: 'unexpected_answer' });
    expect(phone.sync.status.state).toBe('waiting');
    expect(await phone.device.lastPulledAt()).toBeNull();
  });
});

describe('the status', () => {
  test('is replaced, never changed, and a listener that throws breaks nothing', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    const seen = new Set([phone.sync.status]);
    const unsubscribe = phone.sync.subscribe(() => {
      seen.add(phone.sync.status);
      throw new Error('from the app');
    });
    await phone.syncNow();
    expect([...seen].map(({ state }) => state)).toEqual(['idle', 'syncing', 'idle']);
    for (const _reported of ['syncing', 'idle']) {
      expect(() => phone.clock.advance(0)).toThrow('from the app');
    }
    unsubscribe();
    await phone.syncNow();
    expect(seen.size).toBe(3);
  });
});

describe('records', () => {
  test('that the server rejects are named with their reasons, and stay until they are mended', async () => {
    const phone = deviceOf(tokensOf(await rind.signUp()));
    const long = await phone.device.create('projects', { name: 'x'.repeat(501) });
    await phone.device.create('projects', { name: 'Fine' });
    const { rejected } = await phone.syncNow();
    expect(rejected).toEqual([
      {
        table: 'projects',
        id: long,
        reasons: [expect.objectContaining({ code: 'too_long', column: 'name' })],
      },
    ]);
    expect(phone.sync.status).toMatchObject({ state: 'idle', lastError: null, rejected });
    expect(await phone.device.row('projects', long)).toMatchObject({ _status: 'created' });

    await phone.device.update('projects', long, { name: 'Short' });
    await phone.syncNow();
    expect(phone.sync.status.rejected).toEqual([]);
    expect(await phone.device.hasUnsyncedChanges()).toBe(false);
  });

  test('are judged by findViolations() as by the server', async () => {
    const ada = await rind.signUp();
    const { body: schema } = await rind.request<SyncSchema>('GET', '/sync/schema', {
      token: ada.accessToken,
    });
    const tasks = schema.tables.find(({ name }) => name === 'tasks')!;
    const record = (id: string, fields = {}) => ({ id, title: 'Title', ...fields });
    const records = [
      record('fine'),
      record('a.B_c-9'),
      record('i'.repeat(64)),
      record('i'.repeat(65)),
      record('no spaces'),
      record('ünicode'),
      record('title-500', { title: 'x'.repeat(500) }),
      record('title-501', { title: 'x'.repeat(501) }),
      // 250 characters of two UTF-16 code units each, and one more.
      record('wide-500', { title: '🧹'.repeat(250) }),
      record('wide-502', { title: '🧹'.repeat(251) }),
      record('parent', { project_id: 'p'.repeat(65) }),
      record('null', { description: null, unknown: 'x'.repeat(1_000) }),
    ];
    const { body } = await rind.request<{ experimentalRejectedIds: Record<string, string[]> }>(
      'POST',
      '/sync/push',
      {
        token: ada.accessToken,
        body: {
          changes: { tasks: { created: records, updated: [], deleted: [] } },
          lastPulledAt: 1,
        },
      },
    );
    const violating = records.filter((raw) => findViolations(tasks, raw).length > 0);
    expect(violating).toHaveLength(6);
    expect(body.experimentalRejectedIds['tasks']!.sort()).toEqual(
      violating.map(({ id }) => id).sort(),
    );
    expect(findViolations(tasks, { title: 'An id is made by WatermelonDB' })).toEqual([]);
  });

  test('of a table that is new to an update of the app arrive whole (rule 16)', async () => {
    const ada = await rind.signUp();
    const { body: schema } = await rind.request<SyncSchema>('GET', '/sync/schema', {
      token: ada.accessToken,
    });
    const [projects, tasks, feed] = schema.tables;
    const releaseOf = (version: number, tables: SyncSchemaTable[]) => {
      const known = { version, tables };
      return { schema: appSchemaFrom(known), migrations: migrationsFrom(known) };
    };
    const tablet = deviceOf(tokensOf(ada));
    await tablet.device.create('tasks', { title: 'Paint' });
    await tablet.syncNow();
    const phone = new SyncedDevice(rind.url, tokensOf(ada), {
      release: releaseOf(1, [projects!, feed!]),
    });
    open.push(phone);
    await phone.syncNow();
    const columns = tasks!.columns.map((column) => ({ ...column, since: 2 }));
    await phone.install(releaseOf(2, [projects!, { ...tasks!, since: 2, columns }, feed!]));
    await syncUntilEqual(phone, tablet);
    expect((await phone.device.dump())['tasks']).toHaveLength(1);
  });

  test("have the schema that an app developer would write, made from the server's", async () => {
    const ada = await rind.signUp();
    const { body: schema } = await rind.request<SyncSchema>('GET', '/sync/schema', {
      token: ada.accessToken,
    });
    expect(appSchemaFrom(schema)).toEqual(firstRelease.schema);
    expect(migrationsFrom(schema)).toEqual(firstRelease.migrations);
  });
});
