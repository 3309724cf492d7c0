import { z } from 'zod';
import { Device } from './auth.js';
import { reauthentication } from './mfa.js';
import { openEnum } from './open-enum.js';
import { line } from './text.js';

export const oauthProviders = ['google', 'apple', 'facebook'] as const;
export type OAuthProviderName = (typeof oauthProviders)[number];

const PkceVerifier = z
  .string()
  .regex(/^[\w.~-]{43,128}$/, 'expected 43 to 128 characters of A-Z a-z 0-9 - . _ ~ (RFC 7636)');

export const StartOAuthQuery = z.object({
  returnTo: z.string().max(2000).meta({
    description:
      'One of the configured return addresses, letter for letter. The browser comes back to it with `code`, or with `error`, a problem code.',
    example: 'com.example.app:/signed-in',
  }),
  codeChallenge: z
    .string()
    .regex(/^[\w-]{43}$/, 'expected the SHA-256 of the verifier in base64url')
    .meta({ description: 'PKCE challenge (S256) of a verifier that the app keeps to itself' }),
  purpose: z.enum(['sign_in', 'link']).default('sign_in').meta({
    description:
      '`link`: the code does not sign in; a user who is signed in links the account at the provider with it.',
  }),
});
export type StartOAuthQuery = z.infer<typeof StartOAuthQuery>;

export const ExchangeOAuthBody = z
  .object({
    code: z.string().min(1).max(200),
    codeVerifier: PkceVerifier.meta({
      description: 'What `codeChallenge` was made from: shows that it is the same app.',
    }),
    device: Device.optional(),
  })
  .meta({ id: 'ExchangeOAuthBody' });
export type ExchangeOAuthBody = z.infer<typeof ExchangeOAuthBody>;

/** What a native app got from the provider's own library. */
const nativeToken = {
  idToken: z.string().min(1).max(20_000).optional().meta({
    description: 'Of Google or Apple; with `nonce`',
  }),
  nonce: z.string().min(16).max(200).optional().meta({
    description:
      'Random, made for this sign-in. The provider gets its SHA-256 in lower-case hexadecimal, so that the token alone is of no use to whoever finds it.',
  }),
  accessToken: z.string().min(1).max(20_000).optional().meta({
    description: 'Of Facebook, in place of `idToken` and `nonce`',
  }),
};

type NativeToken = { [Part in keyof typeof nativeToken]?: string | undefined };

const isComplete = ({ idToken, nonce, accessToken }: NativeToken) =>
  Boolean(accessToken ?? (idToken && nonce));
const incomplete = { error: 'Needs idToken and nonce, or accessToken' };

export const OAuthTokenBody = z
  .object({
    ...nativeToken,
    name: line(100).optional().meta({
      description: 'For a new account, where the provider tells the app the name but not the token',
    }),
    device: Device.optional(),
  })
  .refine(isComplete, incomplete)
  .meta({ id: 'OAuthTokenBody' });
export type OAuthTokenBody = z.infer<typeof OAuthTokenBody>;

export const LinkIdentityBody = z
  .object({
    oauthCode: z.string().min(1).max(200).meta({
      description: 'The code of the return address, of a way that began with `purpose=link`',
    }),
    codeVerifier: PkceVerifier.meta({ description: 'What `codeChallenge` was made from' }),
    ...reauthentication,
  })
  .meta({ id: 'LinkIdentityBody' });
export type LinkIdentityBody = z.infer<typeof LinkIdentityBody>;

export const LinkIdentityTokenBody = z
  .object({ ...nativeToken, ...reauthentication })
  .refine(isComplete, incomplete)
  .meta({ id: 'LinkIdentityTokenBody' });
export type LinkIdentityTokenBody = z.infer<typeof LinkIdentityTokenBody>;

export const UnlinkIdentityBody = z.object(reauthentication).meta({ id: 'UnlinkIdentityBody' });
export type UnlinkIdentityBody = z.infer<typeof UnlinkIdentityBody>;

export const Identity = z
  .object({
    id: z.uuid(),
    provider: openEnum(oauthProviders),
    email: z.string().nullable().meta({
      description: 'Address at the provider when the identity was linked',
    }),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Identity' });
export type Identity = z.infer<typeof Identity>;

export const IdentityList = z
  .object({ items: z.array(Identity), nextCursor: z.string().nullable() })
  .meta({ id: 'IdentityList' });
export type IdentityList = z.infer<typeof IdentityList>;
