import { randomUUID } from 'node:crypto';
import type { AuthResult, NotificationPage, NotificationPreferences } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { UnsubscribeTokens } from '../../src/notifications/unsubscribe-tokens.js';
import { type Account, TestApp } from '../support/test-app.js';

type SignedIn = AuthResult & { accessToken: string; refreshToken: string };

/** What users are told of what happens to their account, in the feed and by mail. */
describe('notices about an account', () => {
  let rind: TestApp;
  let account: Account;
  let phone: string;

  beforeAll(async () => {
    rind = await TestApp.start({ env: { SESSION_LIMIT: '3', REFRESH_REUSE_WINDOW_SECONDS: '0' } });
  });
  afterAll(() => rind.stop());
  beforeEach(async () => {
    phone = randomUUID();
    account = await rind.signUp({ deviceId: phone });
  });

  async function feed(token = account.accessToken) {
    const answer = await rind.request<NotificationPage>('GET', '/notifications', { token });
    expect(answer).toMatchObject({ status: 200 });
    return answer.body.items;
  }

  const typesIn = async (token?: string) => (await feed(token)).map(({ type }) => type);

  const mails = async () => (await rind.mailsTo(account.user.email)).filter(isNotice);
  const isNotice = ({ kind }: { kind: string }) => kind === 'notification';

  async function signIn(
    device: object | undefined,
    password = account.password,
  ): Promise<SignedIn> {
    const { email } = account.user;
    const { status, body } = await rind.request<SignedIn>('POST', '/auth/login', {
      body: { email, password, ...(device && { device }) },
    });
    expect(status).toBe(200);
    return body;
  }

  test('greet a new user once, in the feed alone, and not of their own first device', async () => {
    expect(await typesIn()).toEqual(['welcome']);
    const { accessToken } = await signIn({ id: phone });
    expect(await typesIn(accessToken)).toEqual(['welcome']);
    expect(await mails()).toEqual([]);
  });

  test('tell of a sign-in on a device that was never seen, once for each, also after it signed out', async () => {
    const tablet = { id: randomUUID(), name: 'Tablet', platform: 'ios' };
    const { session, accessToken } = await signIn(tablet);
    const [notice] = await feed();
    expect(notice).toMatchObject({
      type: 'new_sign_in',
      data: { sessionId: session.id, deviceName: 'Tablet', platform: 'ios' },
    });
    await rind.request('POST', '/auth/logout', { token: accessToken });
    await signIn(tablet);
    expect(await typesIn()).toEqual(['new_sign_in', 'welcome']);
    expect(await mails()).toMatchObject([{ subject: 'New sign-in' }]);
  });

  test('know a client without an id by its browser', async () => {
    const { email } = account.user;
    const body = { email, password: account.password };
    const from = (agent: string) =>
      rind.request<SignedIn>('POST', '/auth/login', { body, headers: { 'user-agent': agent } });
    await from('Firefox');
    const before = await from('Firefox');
    expect(await typesIn(before.body.accessToken)).toEqual(['new_sign_in', 'welcome']);
    const { body: chrome } = await from('Chrome');
    expect(await typesIn(chrome.accessToken)).toContain('new_sign_in');
    expect((await mails()).map(({ subject }) => subject)).toEqual(['New sign-in', 'New sign-in']);
  });

  test('say nothing that a stranger typed under the name of the server', async () => {
    await signIn({ id: randomUUID(), name: 'Call 0800 123456 now', platform: 'www.evil.example' });
    const [notice] = await feed();
    const [mail] = await mails();
    for (const text of [notice!.title, notice!.body, mail!.subject, mail!.text, mail!.html]) {
      expect(text).not.toMatch(/0800|evil/);
    }
  });

  test('tell of sign-ins at once on two new devices, of both', async () => {
    await Promise.all([signIn({ id: randomUUID() }), signIn({ id: randomUUID() })]);
    expect(await typesIn()).toEqual(['new_sign_in', 'new_sign_in', 'welcome']);
  });

  test('tell of a changed password once, by mail and in the feed', async () => {
    const newPassword = 'another horse battery';
    const { status } = await rind.request('POST', '/users/me/password', {
      token: account.accessToken,
      body: { currentPassword: account.password, newPassword },
    });
    expect(status).toBe(204);
    expect(await typesIn()).toEqual(['password_changed', 'welcome']);
    const [mail, ...others] = await mails();
    expect([mail!.subject, others]).toEqual(['Your password was changed', []]);
    expect(mail!.text).not.toContain('unsubscribe');
  });

  test('tell of a password that was reset', async () => {
    const { email } = account.user;
    await rind.request('POST', '/auth/password/forgot', { body: { email } });
    const token = (await rind.mailsTo(email)).at(-1)!.token;
    const password = 'another horse battery';
    await rind.request('POST', '/auth/password/reset', { body: { token, password } });
    const { accessToken } = await signIn({ id: phone }, password);
    expect(await typesIn(accessToken)).toEqual(['password_changed', 'welcome']);
  });

  test('tell the other devices of a refresh token that was used twice, once', async () => {
    const tablet = await signIn({ id: randomUUID() });
    const refresh = (refreshToken: string) =>
      rind.request<SignedIn>('POST', '/auth/refresh', { body: { refreshToken } });
    const second = (await refresh(tablet.refreshToken)).body.refreshToken;
    await refresh(second);
    const reused = await Promise.all([refresh(tablet.refreshToken), refresh(tablet.refreshToken)]);
    expect(reused.map(({ status }) => status)).toEqual([401, 401]);
    const [notice, ...others] = await feed();
    expect(notice).toMatchObject({
      type: 'session_ended_by_reuse',
      data: { sessionId: tablet.session.id },
    });
    expect(others.map(({ type }) => type)).toEqual(['new_sign_in', 'welcome']);
    expect(await mails()).toMatchObject([
      { subject: 'New sign-in' },
      { subject: 'A device was signed out' },
    ]);
  });

  test('tell of a device that was signed out since there were too many, and of none that had expired', async () => {
    const devices = [randomUUID(), randomUUID(), randomUUID()];
    const last: SignedIn[] = [];
    for (const id of devices) last.push(await signIn({ id, name: id }));
    const token = last[2]!.accessToken;
    const notices = (await feed(token)).filter(({ type }) => type === 'session_ended_by_limit');
    expect(notices).toMatchObject([{ data: { sessionId: account.session.id } }]);
    await rind.sql.query(`UPDATE sessions SET expires_at = now() WHERE id = $1`, [
      last[0]!.session.id,
    ]);
    await signIn({ id: randomUUID() });
    expect((await typesIn(token)).filter((type) => type === 'session_ended_by_limit')).toHaveLength(
      1,
    );
  });

  test('are part of what happened: nothing is told of a sign-in that failed', async () => {
    await rind.request('POST', '/auth/login', {
      body: { email: account.user.email, password: 'wrong password', device: { id: randomUUID() } },
    });
    expect(await typesIn()).toEqual(['welcome']);
  });

  describe('by mail', () => {
    const choose = (preferences: object) =>
      rind.request('PATCH', '/notifications/preferences', {
        token: account.accessToken,
        body: { preferences },
      });
    const post = (path: string, init: RequestInit = {}) =>
      fetch(`${rind.url}/api/v1/notifications/unsubscribe${path}`, { method: 'POST', ...init });

    /** A user who asked for mails that they may do without, and got one. */
    async function mailWithWayOut() {
      await choose({ session_ended_by_limit: { mail: true } });
      for (let count = 0; count < 3; count += 1) await signIn({ id: randomUUID() });
      const token = (await signIn({ id: phone })).accessToken;
      const optional = (await mails()).filter(({ text }) => text.includes('/unsubscribe?token='));
      return { token, optional };
    }

    test('keep to what was chosen when they are sent, and can be stopped by one POST without a sign-in (RFC 8058)', async () => {
      const { optional } = await mailWithWayOut();
      expect(optional.length).toBeGreaterThan(0);
      const { token } = optional[0]!;
      expect(optional[0]).toMatchObject({
        unsubscribe: expect.stringMatching(
          /^http:.*\/api\/v1\/notifications\/unsubscribe\?token=[\w-]+$/,
        ),
      });
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      const oneClick = { body: 'List-Unsubscribe=One-Click', headers: form };
      const multipart = new FormData();
      multipart.append('List-Unsubscribe', 'One-Click');
      for (const init of [oneClick, { body: multipart }, {}]) {
        expect((await post(`?token=${token}`, init)).status).toBe(204);
      }
      const before = (await mails()).length;
      await signIn({ id: randomUUID() });
      const after = (await mails()).slice(before);
      expect(after.map(({ subject }) => subject)).toEqual(['New sign-in']);
    });

    test('open nothing to who alters a token, and stop none about security', async () => {
      const { optional } = await mailWithWayOut();
      const { token } = optional[0]!;
      const bytes = Buffer.from(token, 'base64url');
      const altered = Array.from({ length: bytes.length }, (_, index) => {
        const copy = Buffer.from(bytes);
        copy[index]! ^= 1;
        return copy.toString('base64url');
      });
      const tokens = rind.app.get(UnsubscribeTokens);
      const unwelcome = ['new_sign_in', 'prize', ''].map((type) =>
        tokens.mint({ userId: account.id, type }),
      );
      for (const wrong of [
        ...altered,
        ...unwelcome,
        `${token}=`,
        token.slice(0, -1),
        'x'.repeat(500),
        '%00',
      ]) {
        expect((await post(`?token=${wrong}`)).status).toBe(422);
      }
      for (const query of ['', '?token=', '?token=a&token=b', `?token=${'x'.repeat(600)}`]) {
        expect((await post(query)).status).toBe(422);
      }
    });

    test('lead to a page of the app when they are opened in a browser, and change nothing', async () => {
      const { token, optional } = await mailWithWayOut();
      const [mail] = optional;
      const opened = await fetch(
        `${rind.url}/api/v1/notifications/unsubscribe?token=${mail!.token}`,
        {
          redirect: 'manual',
        },
      );
      expect(opened.status).toBe(302);
      expect(opened.headers.get('location')).toBe(
        `http://localhost:8081/unsubscribe?token=${mail!.token}`,
      );
      const { body } = await rind.request<NotificationPreferences>(
        'GET',
        '/notifications/preferences',
        { token },
      );
      expect(body.preferences.session_ended_by_limit.mail).toBe(true);
    });

    test('do no harm by the link of a user who is gone', async () => {
      const { optional } = await mailWithWayOut();
      await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
      expect((await post(`?token=${optional[0]!.token}`)).status).toBe(204);
    });
  });
});
