import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import type { AuthResult, MfaRequired, Problem } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { IdentitiesRepository } from '../../src/auth/oauth/identities.repository.js';
import { UsersService } from '../../src/users/users.service.js';
import { Authenticator } from '../support/authenticator.js';
import { IdentityProvider, type Visitor } from '../support/identity-provider.js';
import { settle } from '../support/notices.js';
import { newApp, newVisitor, type OAuthApp } from '../support/oauth-app.js';
import { untilBlocked } from '../support/seams.js';
import { shiftedDate } from '../support/shifted-date.js';
import { TestApp } from '../support/test-app.js';

const PUBLIC_URL = 'https://api.example.com';
const CALLBACK = `${PUBLIC_URL}/api/v1/auth/oauth/google/callback`;
const RETURN_URL = 'com.example.app:/signed-in';
const WEB_RETURN_URL = 'https://app.example.com/signed-in?tab=home';
const NATIVE_ID = 'native-client';

let google: IdentityProvider;
let rind: TestApp;

beforeAll(async () => {
  google = await IdentityProvider.start({
    client_id: 'web-client',
    client_secret: 'secret of the web client',
    redirect_uris: [CALLBACK],
  });
  rind = await TestApp.start({
    env: {
      PUBLIC_URL,
      OAUTH_RETURN_URLS: `${RETURN_URL},${WEB_RETURN_URL}`,
      OAUTH_GOOGLE_ID: 'web-client',
      OAUTH_GOOGLE_SECRET: 'secret of the web client',
      OAUTH_GOOGLE_NATIVE_IDS: NATIVE_ID,
      OAUTH_GOOGLE_ISSUER: google.issuer,
    },
  });
});
afterEach(() => {
  google.isBroken = false;
});
afterAll(async () => {
  await rind?.stop();
  await google?.stop();
});

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${rind.url}${path}`, { redirect: 'manual', headers });

const startAt = (provider: string, parameters: Record<string, string>) =>
  get(`/api/v1/auth/oauth/${provider}?${new URLSearchParams(parameters).toString()}`);

/** A browser on its way to the provider. */
async function start(app: OAuthApp, returnTo = RETURN_URL) {
  const response = await startAt('google', { returnTo, codeChallenge: app.codeChallenge });
  expect(response.status).toBe(302);
  const setCookie = response.headers.getSetCookie()[0]!;
  return { url: response.headers.get('location')!, cookie: setCookie.split(';', 1)[0]!, setCookie };
}

/** A browser on its way from the provider. */
const comeBack = (callback: URL, cookie: string, headers: Record<string, string> = {}) =>
  get(`${callback.pathname}${callback.search}`, { cookie, ...headers });

/** The whole way of a browser: what the app gets in the end. */
async function browse(
  app: OAuthApp,
  visitor: Visitor | null,
  headers: Record<string, string> = {},
) {
  google.visitor = visitor;
  const { url, cookie } = await start(app);
  const { callback } = await google.browse(url);
  const response = await comeBack(callback, cookie, headers);
  expect(response.status).toBe(302);
  return new URL(response.headers.get('location')!).searchParams;
}

const exchange = (body: object) =>
  rind.request<AuthResult & Problem>('POST', '/auth/oauth/exchange', { body });

async function signIn(visitor: Visitor, headers: Record<string, string> = {}) {
  const app = newApp();
  const code = (await browse(app, visitor, headers)).get('code');
  const { status, body } = await exchange({ code, codeVerifier: app.codeVerifier });
  expect([status, body]).toEqual([200, expect.anything()]);
  return body;
}

const getMe = ({ accessToken: token }: AuthResult) =>
  rind.request('GET', '/users/me', { token: token! });

async function expectNoFlow(response: Response): Promise<void> {
  expect(await response.json()).toMatchObject({ status: 400, code: 'oauth_flow_invalid' });
  expect(response.headers.get('location')).toBeNull();
}

describe('signing in with a browser', () => {
  test('sends it to the provider with state, nonce and PKCE, bound to a cookie', async () => {
    const { url, setCookie } = await start(newApp());
    const { origin, searchParams } = new URL(url);
    expect(origin).toBe(google.issuer);
    expect(Object.fromEntries(searchParams)).toEqual({
      client_id: 'web-client',
      response_type: 'code',
      redirect_uri: CALLBACK,
      scope: 'openid email profile',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    expect(setCookie).toMatch(/^__Host-rind_oauth=[\w-]{43}; /);
    expect(setCookie.split('; ').slice(1).toSorted()).toEqual(
      ['HttpOnly', 'Max-Age=600', 'Path=/', 'SameSite=None', 'Secure'].toSorted(),
    );
  });

  test('makes an account with what the provider knows, and signs in to it again', async () => {
    const visitor = newVisitor({ email: `${randomUUID()}@Example.COM`, name: ' Ada \u0007 ' });
    const first = await signIn(visitor, { 'accept-language': 'de-AT,de;q=0.9,en;q=0.8' });
    expect(first.user).toMatchObject({
      email: visitor.email!.toLowerCase(),
      emailVerified: true,
      displayName: 'Ada',
      language: 'de',
      roles: ['user'],
    });
    expect((await getMe(first)).status).toBe(200);

    // The address may change at the provider; who it is does not.
    const second = await signIn({ ...visitor, email: 'ada@elsewhere.example' });
    expect(second.user).toEqual(first.user);
    expect(second.session.id).not.toBe(first.session.id);
    const { rows } = await rind.sql.query(
      `SELECT action, reason, detail FROM audit_events WHERE user_id = $1 ORDER BY created_at, id`,
      [first.user.id],
    );
    expect(rows).toEqual([
      { action: 'registered', reason: null, detail: null },
      { action: 'email_verified', reason: 'google', detail: null },
      { action: 'identity_linked', reason: null, detail: { provider: 'google' } },
      { action: 'signed_in', reason: 'oauth:google', detail: null },
      { action: 'signed_in', reason: 'oauth:google', detail: null },
    ]);
  });

  test.each([undefined, '', '\u0000', ' '])(
    'names a new account after its address when the name is %j',
    async (name) => {
      const { user } = await signIn(newVisitor({ name, email: `ada.${randomUUID()}@example.com` }));
      expect(user.displayName).toBe(user.email.split('@')[0]);
    },
  );

  test('comes back to a web address with the query that it had', async () => {
    const app = newApp();
    google.visitor = newVisitor();
    const { url, cookie } = await start(app, WEB_RETURN_URL);
    const response = await comeBack((await google.browse(url)).callback, cookie);
    const { origin, pathname, searchParams } = new URL(response.headers.get('location')!);
    expect(origin + pathname).toBe('https://app.example.com/signed-in');
    expect([...searchParams.keys()]).toEqual(['tab', 'code']);
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-rind_oauth=; Path=\/; Max-Age=0;/),
    ]);
  });

  describe('two at once of somebody new lead to one account', () => {
    /** Lets another sign-in of the same visitor overtake one that is about to call `service[method]`. */
    async function overtakeAt(service: object, method: string, visitor: Visitor) {
      const original = Reflect.get(service, method) as (...all: unknown[]) => Promise<unknown>;
      const arrived = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      Object.assign(service, {
        [method]: async (...parameters: unknown[]) => {
          Object.assign(service, { [method]: original });
          arrived.resolve();
          await released.promise;
          return original.apply(service, parameters);
        },
      });
      const slow = signIn(visitor);
      await arrived.promise;
      const fast = await signIn(visitor);
      released.resolve();
      return [(await slow).user, fast.user];
    }

    test('that is made for them', async () => {
      const users = rind.app.get(UsersService);
      const [slow, fast] = await overtakeAt(users, 'create', newVisitor());
      expect(slow).toEqual(fast);
    });

    test('that they had', async () => {
      const { id, user } = await rind.signUp();
      await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [id]);
      const identities = rind.app.get(IdentitiesRepository);
      const visitor = newVisitor({ email: user.email });
      const [slow, fast] = await overtakeAt(identities, 'create', visitor);
      expect([slow!.id, fast!.id]).toEqual([id, id]);
    });
  });

  test('a deactivated account gives out no tokens', async () => {
    const visitor = newVisitor();
    const { user } = await signIn(visitor);
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
    const app = newApp();
    const code = (await browse(app, visitor)).get('code');
    expect(await exchange({ code, codeVerifier: app.codeVerifier })).toMatchObject({
      status: 403,
      body: { code: 'account_deactivated' },
    });
    const { rows } = await rind.sql.query(
      `SELECT reason FROM audit_events WHERE user_id = $1 AND action = 'sign_in_refused'`,
      [user.id],
    );
    expect(rows).toEqual([{ reason: 'account_deactivated' }]);
  });
});

describe('a way that ends early comes back with the reason', () => {
  test('declined by the user', async () => {
    expect(Object.fromEntries(await browse(newApp(), null))).toEqual({ error: 'oauth_denied' });
  });

  test('no address from the provider', async () => {
    const parameters = await browse(newApp(), { sub: randomUUID() });
    expect(Object.fromEntries(parameters)).toEqual({ error: 'oauth_email_missing' });
  });

  test('an address that the provider did not verify, of an account that exists', async () => {
    const { user } = await rind.signUp();
    const visitor = newVisitor({ email: user.email, email_verified: false });
    const parameters = await browse(newApp(), visitor);
    expect(Object.fromEntries(parameters)).toEqual({ error: 'oauth_email_unverified' });
  });

  test('a provider that fails', async () => {
    google.visitor = newVisitor();
    const { url, cookie } = await start(newApp());
    const { callback } = await google.browse(url);
    google.isBroken = true;
    const location = (await comeBack(callback, cookie)).headers.get('location');
    expect(location).toBe(`${RETURN_URL}?error=oauth_failed`);
  });

  test('the code of another sign-in, put in the place of the own', async () => {
    google.visitor = newVisitor();
    const attacker = await start(newApp());
    const stolen = (await google.browse(attacker.url)).callback.searchParams.get('code')!;
    const victim = await start(newApp());
    const { callback } = await google.browse(victim.url);
    callback.searchParams.set('code', stolen);
    const location = (await comeBack(callback, victim.cookie)).headers.get('location');
    expect(location).toBe(`${RETURN_URL}?error=oauth_failed`);
  });

  test.each([
    ['another issuer', 'https://attacker.example'],
    ['no issuer', null],
  ])('the answer of %s: a mix-up (RFC 9207)', async (_, issuer) => {
    google.visitor = newVisitor();
    const { url, cookie } = await start(newApp());
    const { callback } = await google.browse(url);
    expect(callback.searchParams.get('iss')).toBe(google.issuer);
    if (issuer === null) callback.searchParams.delete('iss');
    else callback.searchParams.set('iss', issuer);
    const location = (await comeBack(callback, cookie)).headers.get('location');
    expect(location).toBe(`${RETURN_URL}?error=oauth_failed`);
  });
});

describe('a browser is sent nowhere', () => {
  async function arrive() {
    google.visitor = newVisitor();
    const { url, cookie } = await start(newApp());
    return { cookie, callback: (await google.browse(url)).callback };
  }

  test('with no cookie', async () => {
    const { callback } = await arrive();
    await expectNoFlow(await comeBack(callback, ''));
  });

  test('with the cookie of another browser', async () => {
    const { callback } = await arrive();
    await expectNoFlow(await comeBack(callback, (await arrive()).cookie));
  });

  test.each([
    ['no state', null],
    ['an empty state', ''],
    ['another state', 'A'.repeat(43)],
  ])('with %s; the flow goes on', async (_, state) => {
    const { callback, cookie } = await arrive();
    const forged = new URL(callback);
    if (state === null) forged.searchParams.delete('state');
    else forged.searchParams.set('state', state);
    const refusal = await comeBack(forged, cookie);
    expect(refusal.headers.getSetCookie()).toEqual([]);
    await expectNoFlow(refusal);
    expect((await comeBack(callback, cookie)).status).toBe(302);
  });

  test('a second time', async () => {
    const { callback, cookie } = await arrive();
    expect((await comeBack(callback, cookie)).status).toBe(302);
    await expectNoFlow(await comeBack(callback, cookie));
  });

  test('later than 10 minutes', async () => {
    const { callback, cookie } = await arrive();
    await rind.sql.query(`UPDATE oauth_flows SET expires_at = now()`);
    await expectNoFlow(await comeBack(callback, cookie));
  });

  test('on the way to another provider', async () => {
    const { callback, cookie } = await arrive();
    await rind.sql.query(`UPDATE oauth_flows SET provider = 'apple'`);
    await expectNoFlow(await comeBack(callback, cookie));
  });

  test.each([
    'https://attacker.example/',
    `${RETURN_URL}/../elsewhere`,
    `${RETURN_URL}?`,
    'com.example.app:/',
    'https://app.example.com/signed-in',
    'https://app.example.com/signed-in?tab=home#',
    'https://app.example.com.attacker.example/signed-in?tab=home',
    'https://app.example.com@attacker.example/signed-in?tab=home',
    '//attacker.example',
    'javascript:alert(1)',
    '',
  ])('to return to %s', async (returnTo) => {
    const response = await startAt('google', { returnTo, codeChallenge: newApp().codeChallenge });
    expect(await response.json()).toMatchObject({ status: 422, code: 'return_url_not_allowed' });
  });

  test.each(['', 'short', 'A'.repeat(44), '!'.repeat(43)])(
    'with the challenge %j',
    async (codeChallenge) => {
      const response = await startAt('google', { returnTo: RETURN_URL, codeChallenge });
      expect(response.status).toBe(422);
    },
  );

  test.each(['facebook', 'apple', 'github', 'constructor'])(
    'to %s, for which the server is not configured',
    async (provider) => {
      const { codeChallenge } = newApp();
      const answers = await Promise.all([
        startAt(provider, { returnTo: RETURN_URL, codeChallenge }),
        get(`/api/v1/auth/oauth/${provider}/callback?code=x&state=y`),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([404, 404]);
      const body = { idToken: 'x', nonce: 'a nonce of some length' };
      expect(await rind.request('POST', `/auth/oauth/${provider}/token`, { body })).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
    },
  );
});

describe('the code', () => {
  const refused = { status: 401, body: { code: 'oauth_code_invalid' } };

  async function newCode() {
    const app = newApp();
    const code = (await browse(app, newVisitor())).get('code')!;
    return { code, codeVerifier: app.codeVerifier };
  }

  test('is good for one exchange, also of two at once', async () => {
    const body = await newCode();
    const statuses = (await Promise.all([exchange(body), exchange(body)])).map((a) => a.status);
    expect(statuses.toSorted()).toEqual([200, 401]);
    expect(await exchange(body)).toMatchObject(refused);
  });

  test('is of no use without the verifier, and of none to anybody afterwards', async () => {
    const body = await newCode();
    expect(await exchange({ ...body, codeVerifier: 'A'.repeat(43) })).toMatchObject(refused);
    expect(await exchange(body)).toMatchObject(refused);
  });

  test('is good for 60 seconds', async () => {
    const body = await newCode();
    const { rows } = await rind.sql.query<{ seconds: number }>(
      `UPDATE oauth_codes SET expires_at = now() WHERE id = $1
       RETURNING (SELECT extract(epoch FROM expires_at - now()) FROM oauth_codes WHERE id = $1)::float8 AS seconds`,
      [createHash('sha256').update(body.code).digest()],
    );
    expect(rows[0]!.seconds).toBeGreaterThan(0);
    expect(rows[0]!.seconds).toBeLessThanOrEqual(60);
    expect(await exchange(body)).toMatchObject(refused);
  });

  test('replaces the session of the device', async () => {
    const device = { id: randomUUID(), name: 'Pixel' };
    const { body } = await exchange({ ...(await newCode()), device });
    expect(body.session.device).toEqual(device);
  });

  test('is exchanged for cookies where a browser asks for them', async () => {
    const { headers, body } = await rind.request<AuthResult>('POST', '/auth/oauth/exchange', {
      body: await newCode(),
      headers: { 'x-token-transport': 'cookie' },
    });
    expect(body.accessToken).toBeUndefined();
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-rind_access=[^;]+/),
      expect.stringMatching(/^__Secure-rind_refresh=[^;]+/),
    ]);
  });

  test('nor is what makes a flow, anywhere in the database', async () => {
    google.visitor = newVisitor();
    const { url, cookie } = await start(newApp());
    const { searchParams } = new URL(url);
    const { code } = await newCode();
    const { rows } = await rind.sql.query<{ row: string }>(
      `SELECT row_to_json(f)::text AS row FROM oauth_flows f
       UNION ALL SELECT row_to_json(c)::text FROM oauth_codes c`,
    );
    const dump = rows.map(({ row }) => row).join('\n');
    const secrets = [cookie.split('=')[1]!, searchParams.get('state')!, searchParams.get('nonce')!];
    for (const secret of [...secrets, code]) {
      expect(dump).not.toContain(secret);
      expect(dump).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
    }
  });
});

describe('signing in with an id token', () => {
  const nonce = randomUUID();
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const claims = { aud: NATIVE_ID, nonce: sha256(nonce) };
  const now = Math.floor(Date.now() / 1000);

  const signInWith = (idToken: string, body: object = {}) =>
    rind.request<AuthResult & Problem>('POST', '/auth/oauth/google/token', {
      body: { idToken, nonce, ...body },
    });

  test.each([NATIVE_ID, 'web-client'])('for %s', async (aud) => {
    google.visitor = newVisitor({ name: undefined });
    const device = { id: randomUUID() };
    const idToken = google.idToken({ ...claims, aud });
    const { status, body } = await signInWith(idToken, { name: 'Grace Hopper', device });
    expect([status, body]).toEqual([200, expect.anything()]);
    expect(body.user).toMatchObject({ email: google.visitor.email, displayName: 'Grace Hopper' });
    expect(body.session.device).toEqual(device);
    expect((await getMe(body)).status).toBe(200);
  });

  test('waits for whoever works on its user, and holds no identity meanwhile', async () => {
    google.visitor = newVisitor();
    const { user } = (await signInWith(google.idToken(claims))).body;
    const other = await rind.sql.connect();
    await other.query('BEGIN');
    await other.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [user.id]);
    const signingIn = signInWith(google.idToken(claims));
    await untilBlocked(rind.sql, signingIn);
    const lock = 'SELECT FROM oauth_identities WHERE user_id = $1 FOR UPDATE NOWAIT';
    const locking = await Promise.allSettled([other.query(lock, [user.id])]);
    await other.query('ROLLBACK');
    other.release();
    expect(locking).toMatchObject([{ value: { rowCount: 1 } }]);
    expect((await signingIn).status).toBe(200);
  });

  test('fetches the keys of the provider once', async () => {
    google.visitor = newVisitor();
    await signInWith(google.idToken(claims));
    google.requests.length = 0;
    expect((await signInWith(google.idToken(claims))).status).toBe(200);
    expect(google.requests).toEqual([]);
  });

  test('fetches them again once the provider has changed them, for browsers too', async () => {
    const visitor = newVisitor();
    const { user } = await signIn(visitor);
    const oldToken = google.idToken(claims);
    expect((await signInWith(oldToken)).status).toBe(200);
    google.changeKey();
    const realDate = Date;
    // Longer than unknown keys are refused unasked, shorter than known ones are kept.
    globalThis.Date = shiftedDate(realDate, () => 61_000);
    try {
      expect((await signInWith(google.idToken(claims))).body.user.id).toBe(user.id);
      expect((await signIn(visitor)).user.id).toBe(user.id);
      expect((await signInWith(oldToken)).body.code).toBe('oauth_token_invalid');
    } finally {
      globalThis.Date = realDate;
    }
  });

  test.each<[string, () => string]>([
    ['for another app', () => google.idToken({ ...claims, aud: 'another-app' })],
    ['of another issuer', () => google.idToken({ ...claims, iss: 'https://attacker.example' })],
    ['with another nonce', () => google.idToken({ ...claims, nonce: sha256('another') })],
    ['with the nonce itself', () => google.idToken({ ...claims, nonce })],
    ['without a nonce', () => google.idToken({ aud: NATIVE_ID })],
    ['that has expired', () => google.idToken({ ...claims, exp: now - 1 })],
    ['that is not yet valid', () => google.idToken({ ...claims, nbf: now + 100 })],
    ['that never expires', () => google.sign({ ...claims, iss: google.issuer, sub: 'x' })],
    ['without a subject', () => google.idToken({ ...claims, sub: undefined })],
    ['that is cut off', () => google.idToken(claims).slice(0, -2)],
    ['with something behind it', () => `${google.idToken(claims)}.x`],
    ['without a signature', () => google.sign({ ...claims }, { algorithm: 'none' }, '')],
    ['signed with a shared key', () => google.sign(claims, { algorithm: 'HS256' }, 'web-client')],
    [
      'signed with a key of somebody else',
      () =>
        google.sign(
          { ...claims, iss: google.issuer, sub: 'x', exp: now + 300 },
          {},
          generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
        ),
    ],
    ['that names a key nobody knows', () => google.idToken(claims, { keyid: 'unknown' })],
    ['that is none', () => 'x'],
  ])('refuses one %s', async (_, idToken) => {
    google.visitor = newVisitor();
    expect(await signInWith(idToken())).toMatchObject({
      status: 401,
      body: { code: 'oauth_token_invalid' },
    });
  });

  test('makes no account without an address', async () => {
    google.visitor = { sub: randomUUID() };
    expect(await signInWith(google.idToken(claims))).toMatchObject({
      status: 403,
      body: { code: 'oauth_email_missing' },
    });
  });

  test('refuses a deactivated account, and says so', async () => {
    google.visitor = newVisitor();
    const { body } = await signInWith(google.idToken(claims));
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [body.user.id]);
    expect(await signInWith(google.idToken(claims))).toMatchObject({
      status: 403,
      body: { code: 'account_deactivated' },
    });
  });
});

describe('an account with a second factor', () => {
  type Answer = AuthResult & MfaRequired & Problem;

  const claims = {
    aud: NATIVE_ID,
    nonce: createHash('sha256').update('a nonce of some length').digest('hex'),
  };

  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    rind.request<Answer>('POST', path, { body, headers });

  const ways = [
    {
      way: 'with a browser',
      arrive: async (visitor: Visitor, headers?: Record<string, string>) => {
        const app = newApp();
        const code = (await browse(app, visitor)).get('code');
        return post('/auth/oauth/exchange', { code, codeVerifier: app.codeVerifier }, headers);
      },
    },
    {
      way: 'with an id token',
      arrive: (visitor: Visitor, headers?: Record<string, string>) => {
        google.visitor = visitor;
        const body = { idToken: google.idToken(claims), nonce: 'a nonce of some length' };
        return post('/auth/oauth/google/token', body, headers);
      },
    },
  ];

  async function enrol() {
    const owner = await rind.signUp();
    const authenticator = await Authenticator.enrol(rind, owner);
    return { owner, authenticator, visitor: newVisitor({ email: owner.user.email }) };
  }

  async function countSessions(userId: string): Promise<number> {
    const { rows } = await rind.sql.query('SELECT FROM sessions WHERE user_id = $1', [userId]);
    return rows.length;
  }

  test.each(ways)('asks for it $way, and gives out nothing before', async ({ arrive }) => {
    const { owner, authenticator, visitor } = await enrol();
    const { status, headers, body } = await arrive(visitor);
    expect([status, body]).toEqual([
      200,
      { mfaRequired: true, mfaToken: expect.any(String), methods: ['totp', 'recovery_code'] },
    ]);
    expect(headers.getSetCookie()).toEqual([]);
    expect(await countSessions(owner.id)).toBe(1);
    const { mfaToken } = body;
    const wrong = await post('/auth/mfa/verify', { mfaToken, code: authenticator.wrongCode() });
    expect([wrong.status, wrong.body.code]).toEqual([403, 'mfa_code_invalid']);
    const code = await authenticator.freshCode();
    const right = await post('/auth/mfa/verify', { mfaToken, code });
    expect([right.status, right.body.user.id]).toEqual([200, owner.id]);
    expect((await getMe(right.body)).status).toBe(200);
    const { rows } = await rind.sql.query(
      `SELECT reason, detail FROM audit_events WHERE user_id = $1 AND action = 'signed_in' ORDER BY id DESC LIMIT 1`,
      [owner.id],
    );
    expect(rows).toEqual([{ reason: 'oauth:google', detail: { factor: 'totp' } }]);
  });

  test.each(ways)('gives no cookies $way either', async ({ arrive }) => {
    const { headers, body } = await arrive((await enrol()).visitor, {
      'x-token-transport': 'cookie',
    });
    expect([body.mfaRequired, headers.getSetCookie()]).toEqual([true, []]);
  });

  test.each(ways)('has a token $way that is of no use for anything else', async ({ arrive }) => {
    const { owner, visitor } = await enrol();
    const { mfaToken } = (await arrive(visitor)).body;
    const { codeVerifier } = newApp();
    const answers = await Promise.all([
      rind.request('GET', '/users/me', { token: mfaToken }),
      rind.request('GET', '/users/me', { headers: { cookie: `__Host-rind_access=${mfaToken}` } }),
      post('/auth/refresh', { refreshToken: mfaToken }),
      post('/auth/oauth/exchange', { code: mfaToken, codeVerifier }),
      post('/auth/password/reset', { token: mfaToken, password: 'a brand new password' }),
      post('/auth/email/verify', { token: mfaToken }),
    ]);
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual([
      [401, 'unauthenticated'],
      [401, 'unauthenticated'],
      [401, 'refresh_token_invalid'],
      [401, 'oauth_code_invalid'],
      [422, 'mail_token_invalid'],
      [422, 'mail_token_invalid'],
    ]);
    expect(await countSessions(owner.id)).toBe(1);
  });
});

describe('an account whose address a provider vouches for', () => {
  test('keeps everything where the address was verified before', async () => {
    const owner = await rind.signUp();
    await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.id]);
    const { user } = await signIn(newVisitor({ email: owner.user.email }));
    expect(user.id).toBe(owner.id);
    await settle(rind);
    expect((await getMe(owner)).status).toBe(200);
  });

  test('loses what was set up before, where the provider vouches for it only later', async () => {
    const visitor = newVisitor({ email_verified: false });
    const before = await signIn(visitor);
    expect(before.user.emailVerified).toBe(false);
    const after = await signIn({ ...visitor, email_verified: true });
    expect(after.user).toMatchObject({ id: before.user.id, emailVerified: true });
    await settle(rind);
    expect((await getMe(before)).status).toBe(401);
  });
});

test('on http://localhost the cookie is plain and lax', async () => {
  const local = await TestApp.start({
    database: rind.database,
    env: {
      OAUTH_RETURN_URLS: RETURN_URL,
      OAUTH_GOOGLE_ID: 'web-client',
      OAUTH_GOOGLE_SECRET: 'secret of the web client',
      OAUTH_GOOGLE_ISSUER: google.issuer,
    },
  });
  const query = new URLSearchParams({
    returnTo: RETURN_URL,
    codeChallenge: newApp().codeChallenge,
  });
  const response = await fetch(`${local.url}/api/v1/auth/oauth/google?${query.toString()}`, {
    redirect: 'manual',
  });
  await local.stop();
  expect(response.headers.get('set-cookie')).toMatch(
    /^rind_oauth=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/,
  );
});
