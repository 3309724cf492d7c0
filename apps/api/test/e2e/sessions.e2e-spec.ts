import { randomUUID } from 'node:crypto';
import type { AuthResult, Device, Problem, SessionList } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SessionsService } from '../../src/auth/sessions.service.js';
import { settle } from '../support/notices.js';
import { type Account, TestApp } from '../support/test-app.js';

const SESSION_LIMIT = 4;
const pixel = { id: randomUUID(), name: 'Pixel 9', platform: 'android', appVersion: '1.4.0' };

let rind: TestApp;

beforeAll(async () => {
  rind = await TestApp.start({ env: { SESSION_LIMIT: String(SESSION_LIMIT) } });
});
afterAll(() => rind.stop());

async function signIn({ user, password }: Account, device?: Device, userAgent = 'Rind/1.0') {
  const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
    body: { email: user.email, password, ...(device && { device }) },
    headers: { 'user-agent': userAgent },
  });
  return { ...body, accessToken: body.accessToken! };
}

async function listOf({ accessToken }: { accessToken: string }): Promise<SessionList> {
  const { status, body } = await rind.request<SessionList>('GET', '/auth/sessions', {
    token: accessToken,
  });
  expect(status).toBe(200);
  return body;
}

const idsOf = async (signedIn: { accessToken: string }) =>
  (await listOf(signedIn)).items.map(({ id }) => id);

const end = (token: string, id: string) =>
  rind.request('DELETE', `/auth/sessions/${id}`, { token });

async function expectEnded(token: string): Promise<void> {
  await settle(rind);
  const { status, body } = await rind.request('GET', '/users/me', { token });
  expect([status, body.code]).toEqual([401, 'session_ended']);
}

async function endsOf(userId: string) {
  const { rows } = await rind.sql.query(
    `SELECT session_id AS "sessionId", reason, user_agent AS "userAgent" FROM audit_events
     WHERE user_id = $1 AND action = 'session_ended' ORDER BY id`,
    [userId],
  );
  return rows as Array<{ sessionId: string; reason: string; userAgent: string | null }>;
}

const reasonsOf = async ({ id }: Account) =>
  (await endsOf(id)).map(({ sessionId, reason }) => [sessionId, reason]);

describe('the list of sessions', () => {
  test('shows each device, the one used last first, and which one asks', async () => {
    const account = await rind.signUp();
    const phone = await signIn(account, pixel, 'Rind/1.4 (Android)');
    const { items, nextCursor } = await listOf(account);
    expect(nextCursor).toBeNull();
    const { createdAt, expiresAt } = phone.session;
    expect(items).toEqual([
      {
        id: phone.session.id,
        device: pixel,
        ip: '127.0.0.1',
        userAgent: 'Rind/1.4 (Android)',
        createdAt,
        lastUsedAt: createdAt,
        expiresAt,
        current: false,
      },
      expect.objectContaining({ id: account.session.id, device: null, current: true }),
    ]);
    expect((await listOf(phone)).items.map(({ current }) => current)).toEqual([true, false]);
  });

  test('a refresh is a use, and shows where it came from', async () => {
    const account = await rind.signUp();
    const later = await signIn(account);
    await rind.sql.query(
      `UPDATE sessions SET last_used_at = last_used_at - interval '1 hour' WHERE user_id = $1`,
      [account.id],
    );
    await rind.request('POST', '/auth/refresh', {
      body: { refreshToken: account.refreshToken },
      headers: { 'user-agent': 'Rind/2.0' },
    });
    const [first, second] = (await listOf(later)).items;
    expect(first).toMatchObject({ id: account.session.id, userAgent: 'Rind/2.0' });
    expect(second).toMatchObject({ id: later.session.id, userAgent: 'Rind/1.0' });
    expect(Date.parse(first!.lastUsedAt)).toBeGreaterThan(Date.parse(second!.lastUsedAt));
  });

  test('leaves out what has expired, and what belongs to others', async () => {
    const [account] = [await rind.signUp(), await rind.signUp()];
    const expired = await signIn(account);
    await rind.sql.query(`UPDATE sessions SET expires_at = now() WHERE id = $1`, [
      expired.session.id,
    ]);
    expect(await idsOf(account)).toEqual([account.session.id]);
  });
});

describe('ending sessions', () => {
  test('one of them: it is over at once, the others go on', async () => {
    const account = await rind.signUp();
    const phone = await signIn(account, pixel);
    const tablet = await signIn(account);
    expect((await end(account.accessToken, phone.session.id)).status).toBe(204);
    await expectEnded(phone.accessToken);
    expect(await idsOf(account)).toEqual([tablet.session.id, account.session.id]);
    expect(await endsOf(account.id)).toEqual([
      { sessionId: phone.session.id, reason: 'ended_by_user', userAgent: 'node' },
    ]);
  });

  test('the current one', async () => {
    const account = await rind.signUp();
    expect((await end(account.accessToken, account.session.id)).status).toBe(204);
    await expectEnded(account.accessToken);
  });

  test('all others at once', async () => {
    const account = await rind.signUp();
    const others = [await signIn(account), await signIn(account, pixel)];
    const stranger = await rind.signUp();
    const { status } = await rind.request('DELETE', '/auth/sessions', {
      token: account.accessToken,
    });
    expect(status).toBe(204);
    for (const { accessToken } of others) await expectEnded(accessToken);
    expect(await idsOf(account)).toEqual([account.session.id]);
    expect(await idsOf(stranger)).toEqual([stranger.session.id]);
    expect((await reasonsOf(account)).toSorted()).toEqual(
      others.map(({ session }) => [session.id, 'ended_by_user']).toSorted(),
    );
  });

  test("somebody else's session is not there, and goes on", async () => {
    const [account, stranger] = [await rind.signUp(), await rind.signUp()];
    const foreign = await end(account.accessToken, stranger.session.id);
    const unknown = await end(account.accessToken, randomUUID());
    for (const { status, body } of [foreign, unknown]) {
      expect([status, body.code]).toEqual([404, 'not_found']);
    }
    expect(foreign.body.detail).toBe(unknown.body.detail);
    expect(await idsOf(stranger)).toEqual([stranger.session.id]);
  });

  test('twice at the same moment: one of the two finds it, and one event is kept', async () => {
    const account = await rind.signUp();
    const phone = await signIn(account);
    const both = [1, 2].map(() => end(account.accessToken, phone.session.id));
    const statuses = (await Promise.all(both)).map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([204, 404]);
    expect(await reasonsOf(account)).toEqual([[phone.session.id, 'ended_by_user']]);
  });

  test('an id that is none is a fault of the request', async () => {
    const { accessToken } = await rind.signUp();
    const { status, body } = await end(accessToken, 'current');
    expect([status, body.code]).toEqual([422, 'validation_failed']);
  });
});

describe('an audit event says why a session ended', () => {
  test('logout', async () => {
    const account = await rind.signUp();
    await rind.request('POST', '/auth/logout', { token: account.accessToken });
    expect(await reasonsOf(account)).toEqual([[account.session.id, 'logout']]);
  });

  test('replaced, by the next sign-in of the device', async () => {
    const account = await rind.signUp({ deviceId: pixel.id });
    await signIn(account, pixel);
    expect(await reasonsOf(account)).toEqual([[account.session.id, 'replaced']]);
  });

  test('limit, of sessions', async () => {
    const account = await rind.signUp();
    for (let count = 0; count < SESSION_LIMIT; count += 1) await signIn(account);
    expect(await reasonsOf(account)).toEqual([[account.session.id, 'limit']]);
  });

  test('reuse, of a refresh token', async () => {
    const account = await rind.signUp();
    let token = account.refreshToken;
    const refresh = async (refreshToken: string) =>
      (
        await rind.request<AuthResult & Problem>('POST', '/auth/refresh', {
          body: { refreshToken },
        })
      ).body;
    for (let count = 0; count < 2; count += 1) token = (await refresh(token)).refreshToken!;
    expect((await refresh(account.refreshToken)).code).toBe('refresh_token_reused');
    expect(await reasonsOf(account)).toEqual([[account.session.id, 'reuse']]);
  });

  test('credentials_changed, where the server ends all of them', async () => {
    const account = await rind.signUp();
    await rind.app.get(SessionsService).endAll(account.id);
    expect(await endsOf(account.id)).toEqual([
      { sessionId: account.session.id, reason: 'credentials_changed', userAgent: null },
    ]);
    await expectEnded(account.accessToken);
  });

  test('nothing, where a sign-in ended none', async () => {
    const account = await rind.signUp({ deviceId: pixel.id });
    await signIn(account);
    expect(await endsOf(account.id)).toEqual([]);
  });
});
