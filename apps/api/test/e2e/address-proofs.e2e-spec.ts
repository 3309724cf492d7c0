import { createHash, randomUUID } from 'node:crypto';
import type { AuthResult, IdentityList, MfaRequired, Problem } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AddressProofsService } from '../../src/auth/address-proofs.service.js';
import { IdentityProvider, type Visitor } from '../support/identity-provider.js';
import { settle } from '../support/notices.js';
import { newApp, newVisitor } from '../support/oauth-app.js';
import { TestApp } from '../support/test-app.js';

const PUBLIC_URL = 'https://api.example.com';
const RETURN_URL = 'com.example.app:/signed-in';
const CLIENT = { id: 'web-client', secret: 'secret of the web client' };
const NONCE = 'a nonce of some length';
const PASSWORD = 'correct horse battery';
const NEW_PASSWORD = 'a brand new password';

let google: IdentityProvider;
let rind: TestApp;

beforeAll(async () => {
  google = await IdentityProvider.start({
    client_id: CLIENT.id,
    client_secret: CLIENT.secret,
    redirect_uris: [`${PUBLIC_URL}/api/v1/auth/oauth/google/callback`],
  });
  rind = await TestApp.start({
    env: {
      PUBLIC_URL,
      EMAIL_VERIFICATION_REQUIRED: 'false',
      OAUTH_RETURN_URLS: RETURN_URL,
      OAUTH_GOOGLE_ID: CLIENT.id,
      OAUTH_GOOGLE_SECRET: CLIENT.secret,
      OAUTH_GOOGLE_ISSUER: google.issuer,
    },
  });
});
afterAll(async () => {
  await rind?.stop();
  await google?.stop();
});

type Tokens = Pick<AuthResult, 'accessToken'>;

const post = (path: string, body: object, { accessToken: token }: Tokens = {}) =>
  rind.request<AuthResult & MfaRequired & Problem>('POST', path, { body, ...(token && { token }) });

const get = async <Body>(path: string, { accessToken: token }: Tokens) =>
  (await rind.request<Body>('GET', path, { token: token! })).body;

const codeOf = ({ status, body }: { status: number; body: Problem | null }) => [status, body?.code];

const login = (email: string, password: string) => post('/auth/login', { email, password });

/** What an app got from the provider's own library. */
function idTokenOf(visitor: Visitor) {
  google.visitor = visitor;
  const nonce = createHash('sha256').update(NONCE).digest('hex');
  return { idToken: google.idToken({ aud: CLIENT.id, nonce }), nonce: NONCE };
}

const signInWith = (visitor: Visitor) => post('/auth/oauth/google/token', idTokenOf(visitor));

/** What an app has in hand when its browser is back. */
async function getExchange(visitor: Visitor) {
  google.visitor = visitor;
  const { codeChallenge, codeVerifier } = newApp();
  const query = new URLSearchParams({ returnTo: RETURN_URL, codeChallenge }).toString();
  const go = (path: string, cookie = '') =>
    fetch(`${rind.url}${path}`, { redirect: 'manual', headers: { cookie } });
  const start = await go(`/api/v1/auth/oauth/google?${query}`);
  const cookie = start.headers.getSetCookie()[0]!.split(';', 1)[0]!;
  const { callback } = await google.browse(start.headers.get('location')!);
  const end = await go(`${callback.pathname}${callback.search}`, cookie);
  const code = new URL(end.headers.get('location')!).searchParams.get('code');
  return { code: code!, codeVerifier };
}

async function mailToken(kind: string, address: string): Promise<string> {
  const mails = await rind.mailsTo(address);
  return mails.findLast((mail) => mail.kind === kind)!.token;
}

async function forgot(email: string): Promise<string> {
  expect((await post('/auth/password/forgot', { email })).status).toBe(202);
  return mailToken('reset_password', email);
}

/** Takes an address that is somebody else's, and all that can be had with it. */
const squats = [
  {
    start: 'with a password',
    squat: async (email: string) => {
      const { status, body } = await post('/auth/register', {
        email,
        password: PASSWORD,
        displayName: 'Squatter',
      });
      expect(status).toBe(201);
      const visitor = newVisitor({ email, email_verified: false });
      expect(codeOf(await signInWith(visitor))).toEqual([409, 'oauth_email_unverified']);
      return { session: body, proof: { password: PASSWORD }, visitor, exchange: null };
    },
  },
  {
    start: 'at a provider that does not vouch for it',
    squat: async (email: string) => {
      const visitor = newVisitor({ email, email_verified: false });
      const { status, body } = await signInWith(visitor);
      expect([status, body.user.email]).toEqual([200, email]);
      return { session: body, proof: {}, visitor, exchange: await getExchange(visitor) };
    },
  },
];

/** Tries to leave something in the account that outlives the session. */
async function expectNoFoothold(squatter: Tokens, proof: object): Promise<void> {
  const elsewhere = newVisitor();
  for (const [path, body] of [
    ['/auth/mfa/totp', proof],
    ['/auth/identities/token/google', { ...idTokenOf(elsewhere), ...proof }],
    ['/users/me/email', { email: elsewhere.email, ...proof }],
  ] as const) {
    expect([path, ...codeOf(await post(path, body, squatter))]).toEqual([
      path,
      403,
      'email_not_verified',
    ]);
  }
  expect(await rind.mailsTo(elsewhere.email!)).toEqual([]);
}

/** How the owner of the address comes to the account; what signs the owner in. */
const arrivals = [
  {
    end: 'signs in with a provider that vouches for it',
    arrive: async (email: string) => {
      const { status, body } = await signInWith(newVisitor({ email }));
      expect(status).toBe(200);
      return { owner: body, identities: [{ provider: 'google', email }] };
    },
  },
  {
    end: 'resets the password by mail',
    arrive: async (email: string) => {
      const body = { token: await forgot(email), password: NEW_PASSWORD };
      expect((await post('/auth/password/reset', body)).status).toBe(204);
      return { owner: (await login(email, NEW_PASSWORD)).body, identities: [] };
    },
  },
];

const cases = squats.flatMap((squat) => arrivals.map((arrival) => ({ ...squat, ...arrival })));

describe("whoever took somebody else's address", () => {
  test.each(cases)('$start has nothing of it once the owner $end', async ({ squat, arrive }) => {
    const email = `${randomUUID()}@example.com`;
    const { session: squatter, proof, visitor, exchange } = await squat(email);
    await expectNoFoothold(squatter, proof);
    const verification = { token: await mailToken('verify_email', email) };
    const reset = { token: await forgot(email), password: PASSWORD };

    const { owner, identities } = await arrive(email);

    expect(owner.user).toMatchObject({ id: squatter.user.id, emailVerified: true });
    await settle(rind);
    const { refreshToken } = squatter;
    const attempts = [
      await rind.request('GET', '/users/me', { token: squatter.accessToken! }),
      await post('/auth/refresh', { refreshToken }),
      // Were there a second factor, this would give an `mfaToken`.
      await login(email, PASSWORD),
      await signInWith(visitor),
      await post('/auth/email/verify', verification),
      await post('/auth/email/disown', verification),
      await post('/auth/password/reset', reset),
    ];
    expect(attempts.map(codeOf)).toEqual([
      [401, 'session_ended'],
      [401, 'refresh_token_invalid'],
      [401, 'invalid_credentials'],
      [409, 'oauth_email_unverified'],
      [422, 'mail_token_invalid'],
      [422, 'mail_token_invalid'],
      [422, 'mail_token_invalid'],
    ]);
    if (exchange) {
      const exchanged = await post('/auth/oauth/exchange', exchange);
      expect(codeOf(exchanged)).toEqual([401, 'oauth_code_invalid']);
    }
    // None of it has touched what the owner has.
    expect((await get<IdentityList>('/auth/identities', owner)).items).toMatchObject(identities);
    const sessions = await get<{ items: { id: string }[] }>('/auth/sessions', owner);
    expect(sessions.items.map(({ id }) => id)).toEqual([owner.session.id]);
  });
});

test('the proof of an address that was proven before takes nothing', async () => {
  const owner = await rind.signUp();
  await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.id]);

  await rind.app.get(AddressProofsService).prove(owner.id, { method: 'reset', client: null });

  await settle(rind);
  expect((await get<AuthResult['user']>('/users/me', owner)).emailVerified).toBe(true);
  expect((await login(owner.user.email, owner.password)).status).toBe(200);
});
