import { createHash, randomUUID } from 'node:crypto';
import type { AuthResult, Identity, IdentityList, Problem } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { providerFailure } from '../../src/auth/oauth/oauth-provider.js';
import { OAuthProviders } from '../../src/auth/oauth/oauth-providers.js';
import { SessionsService } from '../../src/auth/sessions.service.js';
import { Authenticator } from '../support/authenticator.js';
import { IdentityProvider, type Visitor } from '../support/identity-provider.js';
import { newApp, newVisitor, type OAuthApp } from '../support/oauth-app.js';
import { hold } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

const PUBLIC_URL = 'https://api.example.com';
const RETURN_URL = 'com.example.app:/linked';
const NATIVE_ID = 'native-client';
const NONCE = 'a nonce of some length';

let google: IdentityProvider;
let rind: TestApp;
let owner: Account;

beforeAll(async () => {
  google = await IdentityProvider.start({
    client_id: 'web-client',
    client_secret: 'secret of the web client',
    redirect_uris: [`${PUBLIC_URL}/api/v1/auth/oauth/google/callback`],
  });
  rind = await TestApp.start({
    env: {
      PUBLIC_URL,
      OAUTH_RETURN_URLS: RETURN_URL,
      OAUTH_GOOGLE_ID: 'web-client',
      OAUTH_GOOGLE_SECRET: 'secret of the web client',
      OAUTH_GOOGLE_NATIVE_IDS: NATIVE_ID,
      OAUTH_GOOGLE_ISSUER: google.issuer,
    },
  });
});
beforeEach(async () => {
  owner = await signUpVerified();
});
afterAll(async () => {
  await rind?.stop();
  await google?.stop();
});

async function signUpVerified(): Promise<Account> {
  const account = await rind.signUp();
  await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [account.id]);
  return account;
}

/** As if the sign-in had been longer ago than a recent one may be. */
const age = ({ session }: Account) =>
  rind.sql.query(`UPDATE sessions SET created_at = now() - interval '11 minutes' WHERE id = $1`, [
    session.id,
  ]);

/** The whole way of a browser: with which parameters it comes back to the app. */
async function browse(app: OAuthApp, visitor: Visitor | null, purpose?: string) {
  google.visitor = visitor;
  const { codeChallenge } = app;
  const query = { returnTo: RETURN_URL, codeChallenge, ...(purpose && { purpose }) };
  const go = (path: string, cookie = '') =>
    fetch(`${rind.url}${path}`, { redirect: 'manual', headers: { cookie } });
  const start = await go(`/api/v1/auth/oauth/google?${new URLSearchParams(query).toString()}`);
  expect(start.status).toBe(302);
  const cookie = start.headers.getSetCookie()[0]!.split(';', 1)[0]!;
  const { callback } = await google.browse(start.headers.get('location')!);
  const end = await go(`${callback.pathname}${callback.search}`, cookie);
  return Object.fromEntries(new URL(end.headers.get('location')!).searchParams);
}

/** What an app has in hand when its browser is back. */
async function getProof(visitor: Visitor, purpose = 'link') {
  const app = newApp();
  const { code } = await browse(app, visitor, purpose);
  return { oauthCode: code!, codeVerifier: app.codeVerifier };
}

/** What an app got from the provider's own library. */
function getToken(visitor: Visitor) {
  google.visitor = visitor;
  const nonce = createHash('sha256').update(NONCE).digest('hex');
  return { idToken: google.idToken({ aud: NATIVE_ID, nonce }), nonce: NONCE };
}

type Answer = Identity & Problem;

const link = ({ accessToken: token }: Account, body: object) =>
  rind.request<Answer>('POST', '/auth/identities', { token, body });

const linkToken = ({ accessToken: token }: Account, body: object) =>
  rind.request<Answer>('POST', '/auth/identities/token/google', { token, body });

/** Both ways to link. */
const ways = [
  { way: 'a browser', linkBy: link, prove: (visitor: Visitor) => getProof(visitor) },
  { way: 'a token', linkBy: linkToken, prove: async (visitor: Visitor) => getToken(visitor) },
];

const exchange = (body: object) =>
  rind.request<AuthResult & Problem>('POST', '/auth/oauth/exchange', { body });

const signInWith = (visitor: Visitor) =>
  rind.request<AuthResult & Problem>('POST', '/auth/oauth/google/token', {
    body: getToken(visitor),
  });

async function list({ accessToken: token }: Pick<Account, 'accessToken'>): Promise<Identity[]> {
  return (await rind.request<IdentityList>('GET', '/auth/identities', { token })).body.items;
}

const unlink = ({ accessToken: token }: Pick<Account, 'accessToken'>, id: string, body = {}) =>
  rind.request('DELETE', `/auth/identities/${id}`, { token, body });

const codeOf = ({ status, body }: { status: number; body: Problem }) => [status, body?.code];

async function eventsOf(userId: string, action: string) {
  const { rows } = await rind.sql.query(
    'SELECT session_id, detail FROM audit_events WHERE user_id = $1 AND action = $2',
    [userId, action],
  );
  return rows;
}

describe('linking an account at a provider while signed in', () => {
  test.each(ways)('by $way makes it sign in to this account', async ({ linkBy, prove }) => {
    // Another address than that of the account: nothing but the session ties them together.
    const visitor = newVisitor();
    const { status, body } = await linkBy(owner, await prove(visitor));
    expect([status, body]).toEqual([
      200,
      {
        id: expect.any(String),
        provider: 'google',
        email: visitor.email,
        createdAt: expect.stringMatching(/Z$/),
      },
    ]);
    expect(await list(owner)).toEqual([body]);
    expect((await signInWith(visitor)).body.user).toEqual({ ...owner.user, emailVerified: true });
    expect(await eventsOf(owner.id, 'identity_linked')).toEqual([
      { session_id: owner.session.id, detail: { provider: 'google' } },
    ]);
  });

  test.each(ways)('by $way once more changes nothing', async ({ linkBy, prove }) => {
    const visitor = newVisitor();
    const first = await linkBy(owner, await prove(visitor));
    const second = await linkBy(owner, await prove({ ...visitor, email: 'new@example.com' }));
    expect([second.status, second.body]).toEqual([200, first.body]);
    expect(await list(owner)).toHaveLength(1);
    expect(await eventsOf(owner.id, 'identity_linked')).toHaveLength(1);
  });

  test.each(ways)('by $way is refused where it signs somebody else in', async (one) => {
    const visitor = newVisitor();
    const other = (await signInWith(visitor)).body;
    const answer = await one.linkBy(owner, await one.prove(visitor));
    expect(codeOf(answer)).toEqual([409, 'identity_already_linked']);
    expect(await list(owner)).toEqual([]);
    expect((await signInWith(visitor)).body.user.id).toBe(other.user.id);
  });

  test('to two accounts at once gives it to one of them', async () => {
    const other = await signUpVerified();
    const visitor = newVisitor();
    const token = getToken(visitor);
    const answers = await Promise.all([linkToken(owner, token), linkToken(other, token)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    expect([...(await list(owner)), ...(await list(other))]).toHaveLength(1);
  });

  test.each(ways)('by $way needs a verified address', async ({ linkBy, prove }) => {
    const squatter = await rind.signUp();
    const answer = await linkBy(squatter, {
      ...(await prove(newVisitor())),
      password: squatter.password,
    });
    expect(codeOf(answer)).toEqual([403, 'email_not_verified']);
    expect(await list(squatter)).toEqual([]);
  });

  test.each(ways)('by $way needs the password or a recent sign-in', async ({ linkBy, prove }) => {
    await age(owner);
    const proof = await prove(newVisitor());
    expect(codeOf(await linkBy(owner, proof))).toEqual([403, 'reauthentication_required']);
    const wrong = await linkBy(owner, { ...proof, password: 'not the right one' });
    expect(codeOf(wrong)).toEqual([403, 'reauthentication_failed']);
    // What the provider gave is as good as before.
    const { password } = owner;
    expect((await linkBy(owner, { ...proof, password })).status).toBe(200);
  });

  test.each(ways)('by $way needs the second factor, too', async ({ linkBy, prove }) => {
    const authenticator = await Authenticator.enrol(rind, owner);
    const proof = await prove(newVisitor());
    expect(codeOf(await linkBy(owner, proof))).toEqual([403, 'mfa_code_required']);
    const wrong = await linkBy(owner, { ...proof, code: authenticator.wrongCode() });
    expect(codeOf(wrong)).toEqual([403, 'mfa_code_invalid']);
    expect(await list(owner)).toEqual([]);
    const code = await authenticator.freshCode();
    expect((await linkBy(owner, { ...proof, code })).status).toBe(200);
  });

  test.each(ways)('by $way changes nothing once the session has ended', async (one) => {
    const proof = await one.prove(newVisitor());
    const seam = hold(rind.app.get(SessionsService), 'lockSignedIn', 'before');
    const linking = one.linkBy(owner, proof);
    await seam.reached;
    // As a reset of the password does, which takes the account back.
    await rind.sql.query('DELETE FROM sessions WHERE id = $1', [owner.session.id]);
    seam.release();
    expect(codeOf(await linking)).toEqual([401, 'session_ended']);
    const { rows } = await rind.sql.query('SELECT FROM oauth_identities WHERE user_id = $1', [
      owner.id,
    ]);
    expect(rows).toEqual([]);
  });
});

describe('the code of a way that began for linking', () => {
  const unproven = [422, 'identity_unproven'];

  test('makes no account, and signs nobody in', async () => {
    const visitor = newVisitor();
    const { oauthCode: code, codeVerifier } = await getProof(visitor);
    const { rows } = await rind.sql.query('SELECT FROM users WHERE email = $1', [visitor.email]);
    expect(rows).toEqual([]);
    expect(codeOf(await exchange({ code, codeVerifier }))).toEqual([401, 'oauth_code_invalid']);
    expect(codeOf(await link(owner, { oauthCode: code, codeVerifier }))).toEqual(unproven);
  });

  test('links nothing without the verifier of the app: what an attacker slips in is of no use', async () => {
    const attackers = await getProof(newVisitor());
    const { codeVerifier } = newApp();
    expect(codeOf(await link(owner, { ...attackers, codeVerifier }))).toEqual(unproven);
    expect(codeOf(await link(owner, attackers))).toEqual(unproven);
    expect(await list(owner)).toEqual([]);
  });

  test('is good once, also of two at once, and for 60 seconds', async () => {
    const proof = await getProof(newVisitor());
    const answers = await Promise.all([link(owner, proof), link(owner, proof)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 422]);
    const late = await getProof(newVisitor());
    await rind.sql.query('UPDATE oauth_codes SET expires_at = now()');
    expect(codeOf(await link(owner, late))).toEqual(unproven);
  });

  test('is another than that of a sign-in, which links nothing', async () => {
    const proof = await getProof(newVisitor(), 'sign_in');
    expect(codeOf(await link(owner, proof))).toEqual(unproven);
    expect(await list(owner)).toEqual([]);
  });

  test('is nowhere when the user declines; no sign-in was refused either', async () => {
    await rind.sql.query('DELETE FROM audit_events');
    expect(await browse(newApp(), null, 'link')).toEqual({ error: 'oauth_denied' });
    expect((await rind.sql.query('SELECT FROM audit_events')).rows).toEqual([]);
  });

  test('needs a purpose that there is', async () => {
    const query = { returnTo: RETURN_URL, codeChallenge: newApp().codeChallenge, purpose: 'x' };
    const { status } = await fetch(
      `${rind.url}/api/v1/auth/oauth/google?${new URLSearchParams(query).toString()}`,
    );
    expect(status).toBe(422);
  });
});

describe('bad input', () => {
  const { codeVerifier } = newApp();

  test.each([
    {},
    [],
    { oauthCode: 'x' },
    { codeVerifier },
    { oauthCode: '', codeVerifier },
    { oauthCode: 5, codeVerifier },
    { oauthCode: 'x'.repeat(201), codeVerifier },
    { oauthCode: 'x', codeVerifier: 'short' },
    { oauthCode: 'x', codeVerifier, password: null },
    { oauthCode: 'x', codeVerifier, code: 123_456 },
  ])('%j is no code', async (body) => {
    expect(codeOf(await link(owner, body))).toEqual([422, 'validation_failed']);
  });

  test.each([
    {},
    { idToken: 'x' },
    { nonce: NONCE },
    { idToken: ['x'], nonce: NONCE },
    { idToken: 'x'.repeat(20_001), nonce: NONCE },
  ])('%j is no token', async (body) => {
    expect(codeOf(await linkToken(owner, body))).toEqual([422, 'validation_failed']);
  });

  test.each([{ idToken: 'x', nonce: NONCE }, { accessToken: 'x' }])(
    '%j is a token that nobody signed',
    async (body) => {
      expect(codeOf(await linkToken(owner, body))).toEqual([422, 'identity_unproven']);
    },
  );

  test('a broken provider is told as such', async () => {
    const provider = rind.app.get(OAuthProviders).get('google');
    jest.spyOn(provider, 'verify').mockRejectedValueOnce(providerFailure(new Error('down')));
    const answer = await linkToken(owner, getToken(newVisitor()));
    expect(codeOf(answer)).toEqual([502, 'oauth_failed']);
  });
});

describe('a provider that the server is not configured for', () => {
  const requests = ['GET', 'POST'].flatMap((method) =>
    ['', '/callback', '/token'].map((path) => ({ method, path })),
  );
  const known = requests.filter(({ method, path }) => path !== (method === 'GET' ? '/token' : ''));

  test.each(known)('is not found, whatever else is wrong: $method $path', async (one) => {
    for (const provider of ['apple', 'github', 'x'.repeat(90), '__proto__']) {
      const answer = await rind.request(one.method, `/auth/oauth/${provider}${one.path}`);
      expect(codeOf(answer)).toEqual([404, 'not_found']);
    }
  });

  test('is not found for linking, by who is signed in', async () => {
    const path = '/auth/identities/token/apple';
    expect(codeOf(await rind.request('POST', path, { body: {} }))).toEqual([
      401,
      'unauthenticated',
    ]);
    const { accessToken: token } = owner;
    expect(codeOf(await rind.request('POST', path, { token, body: {} }))).toEqual([
      404,
      'not_found',
    ]);
  });
});

describe('identities', () => {
  test('are listed, and removed while there is another way to sign in', async () => {
    const visitor = newVisitor({ email: owner.user.email });
    await signInWith(visitor);
    const items = await list(owner);
    expect(items).toEqual([
      {
        id: expect.any(String),
        provider: 'google',
        email: owner.user.email,
        createdAt: expect.stringMatching(/Z$/),
      },
    ]);
    expect((await unlink(owner, items[0]!.id)).status).toBe(204);
    expect(await list(owner)).toEqual([]);
    expect(await unlink(owner, items[0]!.id)).toMatchObject({ status: 404 });
    expect(await eventsOf(owner.id, 'identity_unlinked')).toEqual([
      { session_id: owner.session.id, detail: { provider: 'google' } },
    ]);
  });

  test('are removed with the password or after a recent sign-in only', async () => {
    const { id } = (await linkToken(owner, getToken(newVisitor()))).body;
    await age(owner);
    expect(codeOf(await unlink(owner, id))).toEqual([403, 'reauthentication_required']);
    const wrong = await unlink(owner, id, { password: 'not the right one' });
    expect(codeOf(wrong)).toEqual([403, 'reauthentication_failed']);
    expect(await list(owner)).toHaveLength(1);
    expect((await unlink(owner, id, { password: owner.password })).status).toBe(204);
  });

  test('are removed with a code of the second factor only, where there is one', async () => {
    const { id } = (await linkToken(owner, getToken(newVisitor()))).body;
    const authenticator = await Authenticator.enrol(rind, owner);
    expect(codeOf(await unlink(owner, id))).toEqual([403, 'mfa_code_required']);
    const wrong = await unlink(owner, id, { code: authenticator.wrongCode() });
    expect(codeOf(wrong)).toEqual([403, 'mfa_code_invalid']);
    expect(await list(owner)).toHaveLength(1);
    const code = await authenticator.freshCode();
    expect((await unlink(owner, id, { code })).status).toBe(204);
  });

  test('the last way to sign in stays, also when two are removed at once', async () => {
    const { user, accessToken } = (await signInWith(newVisitor())).body;
    const without = { accessToken: accessToken! };
    await rind.sql.query(
      `INSERT INTO oauth_identities (id, user_id, provider, subject) VALUES ($1, $2, 'apple', 'x')`,
      [randomUUID(), user.id],
    );
    const answers = await Promise.all((await list(without)).map(({ id }) => unlink(without, id)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('last_sign_in_method');
    expect(await list(without)).toHaveLength(1);
  });

  test("of somebody else's are not found", async () => {
    const { id } = (await linkToken(owner, getToken(newVisitor()))).body;
    const other = await signUpVerified();
    expect(await list(other)).toEqual([]);
    expect(await unlink(other, id)).toMatchObject({ status: 404 });
    expect(await list(owner)).toHaveLength(1);
  });

  test('go with their user, and so do codes', async () => {
    const visitor = newVisitor();
    const { user } = (await signInWith(visitor)).body;
    await browse(newApp(), visitor);
    await rind.sql.query('DELETE FROM users WHERE id = $1', [user.id]);
    const { rows } = await rind.sql.query(
      `SELECT user_id FROM oauth_identities WHERE user_id = $1
       UNION ALL SELECT user_id FROM oauth_codes WHERE user_id = $1`,
      [user.id],
    );
    expect(rows).toEqual([]);
  });
});
