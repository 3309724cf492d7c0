import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AddressProofsService } from '../../src/auth/address-proofs.service.js';
import { LogRecorder } from '../support/log-recorder.js';
import { settle } from '../support/notices.js';
import { TestApp } from '../support/test-app.js';

const PUBLIC_URL = 'https://api.example.com';
const CALLBACK = `${PUBLIC_URL}/api/v1/auth/oauth/facebook/callback`;
const RETURN_URL = 'com.example.app:/signed-in';
const APP_ID = '1234567890';
const APP_SECRET = 'secret of the app';

const sha256 = (value: string) => createHash('sha256').update(value).digest('base64url');

/** Meta's server as its documentation describes it, for one user at a time. */
class GraphServer {
  user: { id: string; name?: string; email?: string } = { id: 'nobody' };
  isDeclined = false;
  /** What the token is said to be. */
  tokenInfo: object = {};
  private readonly code = randomUUID();
  readonly token = randomUUID();
  private challenge = '';
  readonly server = createServer((request, response) => void this.answer(request, response));

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, this.url);
    const { authorization } = request.headers;
    const json = (body: object, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    switch (pathname) {
      case '/dialog/oauth': {
        this.challenge = searchParams.get('code_challenge')!;
        const target = new URL(searchParams.get('redirect_uri')!);
        target.searchParams.set('state', searchParams.get('state')!);
        if (this.isDeclined) target.searchParams.set('error', 'access_denied');
        else target.searchParams.set('code', this.code);
        response.writeHead(302, { location: target.href }).end();
        return;
      }
      case '/oauth/access_token': {
        const form = Object.fromEntries(new URLSearchParams(await text(request)));
        const isRight =
          form['client_id'] === APP_ID &&
          form['client_secret'] === APP_SECRET &&
          form['code'] === this.code &&
          form['redirect_uri'] === CALLBACK &&
          sha256(form['code_verifier']!) === this.challenge;
        if (isRight)
          json({ access_token: this.token, token_type: 'bearer', expires_in: 5_183_944 });
        else json({ error: { message: 'wrong', type: 'OAuthException', code: 100 } }, 400);
        return;
      }
      case '/debug_token': {
        const isOurs = authorization === `Bearer ${APP_ID}|${APP_SECRET}`;
        json({ data: isOurs ? this.tokenInfo : {} }, isOurs ? 200 : 400);
        return;
      }
      case '/me': {
        const proof = createHmac('sha256', APP_SECRET).update(this.token).digest('hex');
        const isRight =
          authorization === `Bearer ${this.token}` &&
          searchParams.get('appsecret_proof') === proof &&
          searchParams.get('fields') === 'id,name,email';
        json(isRight ? this.user : {}, isRight ? 200 : 400);
        return;
      }
      default:
        json({}, 404);
    }
  }
}

const graph = new GraphServer();
let rind: TestApp;

const start = (env: Record<string, string> = {}) =>
  TestApp.start({
    env: {
      PUBLIC_URL,
      OAUTH_RETURN_URLS: RETURN_URL,
      OAUTH_META_ID: APP_ID,
      OAUTH_META_SECRET: APP_SECRET,
      OAUTH_META_AUTHORIZE_URL: `${graph.url}/dialog/oauth`,
      OAUTH_META_GRAPH_URL: graph.url,
      ...env,
    },
  });

beforeAll(async () => {
  await once(graph.server.listen(0, '127.0.0.1'), 'listening');
  rind = await start();
});
beforeEach(() => {
  const id = randomUUID();
  graph.user = { id, name: 'Ada Lovelace', email: `${randomUUID()}@example.com` };
  graph.tokenInfo = { app_id: APP_ID, user_id: id, is_valid: true, type: 'USER' };
  graph.isDeclined = false;
});
afterAll(async () => {
  await rind?.stop();
  graph.server.close();
  graph.server.closeAllConnections();
});

/** The whole way of a browser, and what the app gets in the end. */
async function browse(change: (callback: URL) => void = () => undefined, at = rind) {
  const codeVerifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    returnTo: RETURN_URL,
    codeChallenge: sha256(codeVerifier),
  });
  const go = (url: string, cookie = '') => fetch(url, { redirect: 'manual', headers: { cookie } });
  const started = await go(`${at.url}/api/v1/auth/oauth/facebook?${query.toString()}`);
  const asked = await go(started.headers.get('location')!);
  const callback = new URL(asked.headers.get('location')!);
  expect(callback.href).toContain(`${CALLBACK}?`);
  change(callback);
  const cookie = started.headers.get('set-cookie')!.split(';', 1)[0]!;
  const response = await go(`${at.url}${callback.pathname}${callback.search}`, cookie);
  expect(response.status).toBe(302);
  const { searchParams } = new URL(response.headers.get('location')!);
  return { code: searchParams.get('code'), error: searchParams.get('error'), codeVerifier };
}

async function signIn(): Promise<AuthResult> {
  const { code, codeVerifier } = await browse();
  const { status, body } = await rind.request<AuthResult>('POST', '/auth/oauth/exchange', {
    body: { code, codeVerifier },
  });
  expect([status, body]).toEqual([200, expect.anything()]);
  return body;
}

const signInWith = (body: object, at = rind) =>
  at.request<AuthResult & Problem>('POST', '/auth/oauth/facebook/token', { body });

describe('signing in with Facebook', () => {
  test('makes an account whose address is not verified, and signs in to it again', async () => {
    const { user } = await signIn();
    const { email, name } = graph.user;
    expect(user).toMatchObject({ email, emailVerified: false, displayName: name });
    expect((await signIn()).user).toEqual(user);
  });

  test('joins no account by the address', async () => {
    const { user } = await rind.signUp();
    graph.user.email = user.email;
    expect(await browse()).toMatchObject({ code: null, error: 'oauth_email_unverified' });
    expect(await signInWith({ accessToken: graph.token })).toMatchObject({
      status: 409,
      body: { code: 'oauth_email_unverified' },
    });
  });

  test('keeps nothing of an address that its owner proves later', async () => {
    const squatter = await signIn();
    const { user } = squatter;
    // As a sign-in with a provider that verified it would.
    await rind.app.get(AddressProofsService).prove(user.id, { method: 'reset', client: null });
    await settle(rind);
    const me = await rind.request('GET', '/users/me', { token: squatter.accessToken! });
    expect(me.status).toBe(401);
    expect(await browse()).toMatchObject({ error: 'oauth_email_unverified' });
  });

  test('needs an address', async () => {
    delete graph.user.email;
    expect(await browse()).toMatchObject({ error: 'oauth_email_missing' });
  });

  test('declined by the user', async () => {
    graph.isDeclined = true;
    expect(await browse()).toMatchObject({ code: null, error: 'oauth_denied' });
  });

  test('a code that is not genuine', async () => {
    const forge = (callback: URL) => callback.searchParams.set('code', 'x');
    expect(await browse(forge)).toMatchObject({ code: null, error: 'oauth_failed' });
  });

  test('natively, with a token that was made for this app', async () => {
    const { status, body } = await signInWith({ accessToken: graph.token });
    expect(status).toBe(200);
    expect(body.user).toMatchObject({ email: graph.user.email, emailVerified: false });
  });

  test.each<[string, object]>([
    ['was made for another app', { app_id: '999' }],
    ['is not valid any more', { is_valid: false }],
    ['is of somebody else', { user_id: 'somebody else' }],
    ["is nobody's", { user_id: undefined }],
    ['is unknown', { app_id: undefined, user_id: undefined, is_valid: undefined }],
  ])('refuses a token that %s', async (_, info) => {
    graph.tokenInfo = { ...graph.tokenInfo, ...info };
    expect(await signInWith({ accessToken: graph.token })).toMatchObject({
      status: 401,
      body: { code: 'oauth_token_invalid' },
    });
  });

  test('refuses an id token, which Facebook does not have', async () => {
    expect(await signInWith({ idToken: 'x', nonce: randomUUID() })).toMatchObject({
      status: 401,
      body: { code: 'oauth_token_invalid' },
    });
    for (const body of [{}, { idToken: 'x' }, { nonce: randomUUID() }]) {
      expect((await signInWith(body)).status).toBe(422);
    }
  });

  test('says when Facebook fails, without the token', async () => {
    const log = new LogRecorder();
    const accessToken = randomUUID();
    const { status, body } = await signInWith({ accessToken });
    expect([status, body.code]).toEqual([502, 'oauth_failed']);
    expect(log.find('A provider failed')).toMatchObject([
      { provider: 'facebook', reason: ['/me answered 400'] },
    ]);
    expect(log.text).not.toContain(accessToken);
  });
});

describe('where addresses have to be verified', () => {
  let strict: TestApp;

  beforeAll(async () => {
    strict = await start({ EMAIL_VERIFICATION_REQUIRED: 'true' });
  });
  afterAll(() => strict.stop());

  const ways: Array<[way: string, signIn: () => Promise<{ status: number; body: object }>]> = [
    ['natively', () => signInWith({ accessToken: graph.token }, strict)],
    [
      'in a browser',
      async () => {
        const { code, codeVerifier } = await browse(undefined, strict);
        return strict.request('POST', '/auth/oauth/exchange', { body: { code, codeVerifier } });
      },
    ],
  ];

  test.each(ways)(
    'an account that is made %s is good once its mail was followed',
    async (_, signIn) => {
      const refused = { status: 403, body: { code: 'email_not_verified' } };
      expect(await signIn()).toMatchObject(refused);
      expect(await signIn()).toMatchObject(refused);
      const [mail, ...others] = await strict.mailsTo(graph.user.email!);
      expect([mail!.kind, others]).toEqual(['verify_email', []]);
      await strict.request('POST', '/auth/email/verify', { body: { token: mail!.token } });
      expect(await signIn()).toMatchObject({
        status: 200,
        body: { user: { email: graph.user.email, emailVerified: true } },
      });
      const { rows } = await strict.sql.query(
        `SELECT action, reason FROM audit_events WHERE user_id = (SELECT id FROM users WHERE email = $1)
       AND action IN ('registered', 'sign_in_refused', 'signed_in') ORDER BY created_at, id`,
        [graph.user.email],
      );
      expect(rows.map(({ action, reason }) => reason ?? action)).toEqual([
        'registered',
        'email_not_verified',
        'email_not_verified',
        'oauth:facebook',
      ]);
    },
  );
});
