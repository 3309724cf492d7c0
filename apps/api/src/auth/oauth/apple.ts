import jwt from 'jsonwebtoken';
import type { ClientAuth } from 'openid-client';
import { z } from 'zod';

export interface AppleClient {
  readonly issuer: string;
  readonly clientId: string;
  readonly teamId: string;
  readonly keyId: string;
  readonly privateKey: string;
}

const SECRET_LIFETIME_SECONDS = 300;

/** What Apple takes for a client secret: a token that the team signs, made anew for each request. */
export function appleAuthentication(client: AppleClient): ClientAuth {
  return (_server, _client, body) => {
    const secret = jwt.sign({}, client.privateKey, {
      algorithm: 'ES256',
      keyid: client.keyId,
      issuer: client.teamId,
      subject: client.clientId,
      audience: client.issuer,
      expiresIn: SECRET_LIFETIME_SECONDS,
    });
    body.set('client_id', client.clientId);
    body.set('client_secret', secret);
  };
}

const AppleUser = z.object({
  name: z.object({ firstName: z.string().optional(), lastName: z.string().optional() }),
});

/**
 * The name that Apple posts beside the code at the first sign-in, and never again. The form passes
 * through the browser, so that an address in it proves nothing: it is left alone.
 */
export function appleNameOf(callback: URL): string | null {
  const user = AppleUser.safeParse(parseJson(callback.searchParams.get('user') ?? ''));
  if (!user.success) return null;
  const { firstName = '', lastName = '' } = user.data.name;
  return `${firstName} ${lastName}`.trim();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
