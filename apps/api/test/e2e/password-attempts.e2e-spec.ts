import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ReauthenticationService } from '../../src/auth/reauthentication.service.js';
import { type Account, TestApp } from '../support/test-app.js';

const ELSEWHERE = '203.0.113.7';
const FREE = 10;

interface Attempt {
  readonly email: string;
  readonly password?: string;
  readonly from?: string;
  readonly deviceId?: string;
  readonly rind?: TestApp;
}

describe('guessing the password of an account', () => {
  let rind: TestApp;
  let second: TestApp;

  beforeAll(async () => {
    const env = { TRUST_PROXY: '1' };
    rind = await TestApp.start({ env });
    second = await TestApp.start({ env, database: rind.database });
  });
  beforeEach(() => rind.sql.query('TRUNCATE rate_limits'));
  afterAll(async () => {
    await second.stop();
    await rind.stop();
  });

  const login = ({ email, password, from = ELSEWHERE, deviceId, rind: on = rind }: Attempt) =>
    on.request('POST', '/auth/login', {
      headers: { 'x-forwarded-for': from },
      body: {
        email,
        password: password ?? 'not the right one',
        ...(deviceId !== undefined && { device: { id: deviceId } }),
      },
    });

  const retryAfter = ({ headers }: { headers: Headers }) => Number(headers.get('retry-after'));

  async function useUp(attempt: Attempt): Promise<void> {
    for (let count = 0; count < FREE; count += 1) {
      expect((await login(attempt)).status).toBe(401);
    }
  }

  /** As if so much time had passed. */
  const wait = (seconds: number) =>
    rind.sql.query('UPDATE rate_limits SET expire = expire - $1', [seconds * 1000]);

  async function expectRefused(attempt: Attempt, seconds: number): Promise<void> {
    const refused = await login(attempt);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    expect(retryAfter(refused)).toBeGreaterThan(seconds - 30);
    expect(retryAfter(refused)).toBeLessThanOrEqual(seconds);
  }

  test('after ten wrong ones there are pauses that grow to a quarter of an hour, also for the right one', async () => {
    const { user, password } = await rind.signUp();
    const { email } = user;
    await useUp({ email });
    for (const seconds of [60, 120, 240, 480, 900, 900]) {
      await expectRefused({ email }, seconds);
      await expectRefused({ email, password }, seconds);
      await wait(seconds);
      expect((await login({ email })).status).toBe(401);
    }
    await wait(900);
    expect((await login({ email, password })).status).toBe(200);
  });

  test('a right one gives all attempts back', async () => {
    const { user, password } = await rind.signUp();
    const { email } = user;
    await useUp({ email });
    await wait(60);
    expect((await login({ email, password, from: '203.0.113.8' })).status).toBe(200);
    await useUp({ email });
    await expectRefused({ email }, 60);
  });

  test('an address that nobody has is refused alike', async () => {
    const { user } = await rind.signUp();
    for (const email of [user.email, `${randomUUID()}@example.com`]) {
      await useUp({ email });
      await expectRefused({ email }, 60);
    }
  });

  test('the limit is exact over all instances, also when all come at once', async () => {
    const { user } = await rind.signUp();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        login({ email: user.email, rind: index % 2 === 0 ? rind : second }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array(FREE).fill(401), ...Array(40 - FREE).fill(429)]);
  });

  test('another account is not concerned', async () => {
    const [ada, bob] = [await rind.signUp(), await rind.signUp()];
    await useUp({ email: ada.user.email });
    expect((await login({ email: bob.user.email, password: bob.password })).status).toBe(200);
  });

  test('a flood leaves the devices of the owner signed in', async () => {
    const ada = await rind.signUp();
    await useUp({ email: ada.user.email });
    await expectRefused({ email: ada.user.email }, 60);
    const { accessToken: token, refreshToken } = ada;
    expect((await rind.request('GET', '/users/me', { token })).status).toBe(200);
    expect((await rind.request('GET', '/sync/pull', { token })).status).toBe(200);
    const refreshed = await rind.request('POST', '/auth/refresh', { body: { refreshToken } });
    expect(refreshed.status).toBe(200);
  });

  describe('while strangers have used up the attempts', () => {
    const HOME = '198.51.100.1';
    const deviceId = randomUUID();
    let ada: Account;
    let email: string;

    beforeEach(async () => {
      ada = await rind.signUp();
      ({ email } = ada.user);
      const { password } = ada;
      expect((await login({ email, password, from: HOME, deviceId })).status).toBe(200);
      await useUp({ email });
      await expectRefused({ email, password: ada.password }, 60);
    });

    test('the owner can sign in from an installation that is signed in, wherever it is', async () => {
      const { password } = ada;
      const from = '192.0.2.9';
      expect((await login({ email, password, from, deviceId })).status).toBe(200);
      await expectRefused({ email, password, from: ELSEWHERE, deviceId: randomUUID() }, 60);
    });

    test('the owner can sign in on a new device where another one of theirs was last used', async () => {
      const { password } = ada;
      const attempt = { email, password, from: HOME, deviceId: randomUUID() };
      expect((await login(attempt)).status).toBe(200);
    });

    test('such a place has ten attempts of its own, and a right one there gives strangers nothing', async () => {
      await useUp({ email, from: HOME });
      await expectRefused({ email, from: HOME }, 60);
      expect((await login({ email, password: ada.password, deviceId })).status).toBe(200);
      await expectRefused({ email, from: '192.0.2.10' }, 60);
    });

    test("a place of one account is none of another's", async () => {
      const bob = await rind.signUp();
      await useUp({ email: bob.user.email });
      await expectRefused({ email: bob.user.email, from: HOME, deviceId }, 60);
    });
  });

  test('the table of limits tells no address, and the audit log tells what was refused', async () => {
    const { id, user } = await rind.signUp();
    await useUp({ email: user.email });
    await expectRefused({ email: user.email }, 60);
    const { rows: limits } = await rind.sql.query('SELECT key FROM rate_limits');
    expect(limits.length).toBeGreaterThan(0);
    expect(JSON.stringify(limits)).not.toContain(user.email.split('@')[0]);
    const { rows: events } = await rind.sql.query(
      `SELECT reason, count(*)::int FROM audit_events
       WHERE user_id = $1 AND action = 'sign_in_refused' GROUP BY 1 ORDER BY 1`,
      [id],
    );
    expect(events).toEqual([
      { reason: 'invalid_credentials', count: FREE },
      { reason: 'rate_limited', count: 1 },
    ]);
  });

  test('a signed-in device that asks for the password has as many attempts, of its own', async () => {
    const { id: userId, session, user, password } = await rind.signUp();
    const service = rind.app.get(ReauthenticationService);
    const client = { ip: '127.0.0.1', userAgent: null, requestId: 'asked' };
    const ask = (guess: string, sessionId = session.id) =>
      service.require({ userId, sessionId, roles: [] }, { password: guess }, client);
    for (let count = 0; count < FREE; count += 1) {
      await expect(ask('wrong')).rejects.toMatchObject({ code: 'reauthentication_failed' });
    }
    await expect(ask(password)).rejects.toMatchObject({ code: 'rate_limited' });
    await ask(password, randomUUID());
    expect((await login({ email: user.email, password })).status).toBe(200);
  });
});
