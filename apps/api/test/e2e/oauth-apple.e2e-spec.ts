import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { IdentityProvider } from '../support/identity-provider.js';
import { TestApp } from '../support/test-app.js';

const PUBLIC_URL = 'https://api.example.com';
const CALLBACK = `${PUBLIC_URL}/api/v1/auth/oauth/apple/callback`;
const RETURN_URL = 'com.example.app:/signed-in';
const SERVICES_ID = 'com.example.web';
const BUNDLE_ID = 'com.example.app';

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const secrets: jwt.Jwt[] = [];
let apple: IdentityProvider;
let rind: TestApp;

beforeAll(async () => {
  apple = await IdentityProvider.start(
    {
      client_id: SERVICES_ID,
      client_secret: 'never compared',
      redirect_uris: [CALLBACK],
    },
    (secret, issuer) => {
      secrets.push(
        jwt.verify(secret, key.publicKey, {
          algorithms: ['ES256'],
          issuer: 'TEAM123456',
          subject: SERVICES_ID,
          audience: issuer,
          complete: true,
        }),
      );
      return true;
    },
  );
  rind = await TestApp.start({
    env: {
      PUBLIC_URL,
      OAUTH_RETURN_URLS: RETURN_URL,
      OAUTH_APPLE_ID: SERVICES_ID,
      OAUTH_APPLE_TEAM_ID: 'TEAM123456',
      OAUTH_APPLE_KEY_ID: 'KEY1234567',
      OAUTH_APPLE_PRIVATE_KEY: key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      OAUTH_APPLE_NATIVE_IDS: BUNDLE_ID,
      OAUTH_APPLE_ISSUER: apple.issuer,
    },
  });
});
afterAll(async () => {
  await rind?.stop();
  await apple?.stop();
});

const newVisitor = () => ({
  sub: randomUUID(),
  email: `${randomUUID()}@privaterelay.appleid.com`,
  email_verified: 'true',
});

const post = (body: URLSearchParams, cookie: string, path = new URL(CALLBACK).pathname) =>
  fetch(`${rind.url}${path}`, { method: 'POST', redirect: 'manual', headers: { cookie }, body });

/** A browser whose page at Apple is about to post its form. */
async function arrive() {
  const codeVerifier = randomBytes(32).toString('base64url');
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
  const query = new URLSearchParams({ returnTo: RETURN_URL, codeChallenge });
  const response = await fetch(`${rind.url}/api/v1/auth/oauth/apple?${query.toString()}`, {
    redirect: 'manual',
  });
  const url = response.headers.get('location')!;
  const cookie = response.headers.get('set-cookie')!.split(';', 1)[0]!;
  const { callback, form } = await apple.browse(url);
  expect(callback.href).toBe(CALLBACK);
  return { url, cookie, codeVerifier, form: form! };
}

async function finish({ form, cookie, codeVerifier }: Awaited<ReturnType<typeof arrive>>) {
  const response = await post(form, cookie);
  expect(response.status).toBe(302);
  const code = new URL(response.headers.get('location')!).searchParams.get('code');
  return rind.request<AuthResult & Problem>('POST', '/auth/oauth/exchange', {
    body: { code, codeVerifier },
  });
}

describe('signing in with Apple', () => {
  test('asks for name and address, which Apple posts', async () => {
    apple.visitor = newVisitor();
    const { url, form } = await arrive();
    expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({
      client_id: SERVICES_ID,
      response_mode: 'form_post',
      scope: 'openid email name',
      code_challenge_method: 'S256',
    });
    expect([...form.keys()]).toEqual(expect.arrayContaining(['code', 'state']));
  });

  test('takes the name from the form, the relay address from the token, and no address from the form', async () => {
    const { email } = (apple.visitor = newVisitor());
    const way = await arrive();
    const name = { firstName: 'Grace', lastName: 'Hopper' };
    way.form.set('user', JSON.stringify({ name, email: 'victim@example.com' }));
    const { status, body } = await finish(way);
    expect(status).toBe(200);
    expect(body.user).toMatchObject({ email, emailVerified: true, displayName: 'Grace Hopper' });
  });

  test('authenticates with a token that its team signed, made anew each time', async () => {
    apple.visitor = newVisitor();
    secrets.length = 0;
    expect((await finish(await arrive())).status).toBe(200);
    expect(secrets).toMatchObject([{ header: { alg: 'ES256', kid: 'KEY1234567' } }]);
    const { iat, exp } = secrets[0]!.payload as jwt.JwtPayload;
    expect(exp! - iat!).toBe(300);
  });

  test.each(['', 'x', 'null', '{"name":null}', '{"name":{"firstName":1}}', '{"name":{}}'])(
    'makes do with %j where the name should be',
    async (user) => {
      apple.visitor = newVisitor();
      const way = await arrive();
      way.form.set('user', user);
      const { body } = await finish(way);
      expect(body.user.displayName).toBe(body.user.email.split('@')[0]);
    },
  );

  test('declined by the user', async () => {
    apple.visitor = null;
    const { form, cookie } = await arrive();
    expect((await post(form, cookie)).headers.get('location')).toBe(
      `${RETURN_URL}?error=oauth_denied`,
    );
    apple.visitor = newVisitor();
    const second = await arrive();
    // Apple's own word for it.
    second.form.set('error', 'user_cancelled_authorize');
    second.form.delete('code');
    expect((await post(second.form, second.cookie)).headers.get('location')).toBe(
      `${RETURN_URL}?error=oauth_denied`,
    );
  });

  test('a form that is posted twice, by a foreign browser, or without its state, leads nowhere', async () => {
    apple.visitor = newVisitor();
    const way = await arrive();
    const stateless = new URLSearchParams(way.form);
    stateless.delete('state');
    const answers = [
      await post(way.form, ''),
      await post(way.form, (await arrive()).cookie),
      await post(stateless, way.cookie),
      await post(new URLSearchParams(), way.cookie),
    ];
    expect((await post(way.form, way.cookie)).status).toBe(302);
    answers.push(await post(way.form, way.cookie));
    const bodies = await Promise.all(answers.map((answer) => answer.json()));
    expect(bodies).toEqual(
      bodies.map(() => expect.objectContaining({ status: 400, code: 'oauth_flow_invalid' })),
    );
  });

  test('no other route takes a form', async () => {
    const form = new URLSearchParams({ email: 'ada@example.com', password: 'x' });
    const response = await post(form, '', '/api/v1/auth/login');
    expect(await response.json()).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  });

  test('natively, for the app', async () => {
    const nonce = randomUUID();
    const claims = { aud: BUNDLE_ID, nonce: createHash('sha256').update(nonce).digest('hex') };
    const { email } = (apple.visitor = newVisitor());
    const body = { idToken: apple.idToken(claims), nonce, name: 'Grace Hopper' };
    const answer = await rind.request<AuthResult>('POST', '/auth/oauth/apple/token', { body });
    expect(answer.status).toBe(200);
    expect(answer.body.user).toMatchObject({ email, displayName: 'Grace Hopper' });
  });
});
