import { createHash } from 'node:crypto';
import { type OAuthProviderName, Email } from '@rind/contracts';
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import * as openid from 'openid-client';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { FlowSecrets } from './flow-secrets.js';
import {
  type NativeToken,
  type OAuthProfile,
  type OAuthProvider,
  providerFailure,
} from './oauth-provider.js';

export interface OpenIdSettings {
  readonly name: OAuthProviderName;
  readonly issuer: string;
  readonly clientId: string;
  /** Client ids of native apps, whose id tokens are accepted, too. */
  readonly nativeClientIds: readonly string[];
  readonly authentication: openid.ClientAuth;
  readonly callbackUrl: string;
  readonly scope: string;
  /** Further parameters of the authorization request. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Where the name of a user comes beside the id token: nobody vouches for it. */
  readonly nameOf?: (callback: URL) => string | null;
}

const TIMEOUT_SECONDS = 10;

/** Signatures only: a key shared with the provider would let any client of it make tokens. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/** Faults of the key server. Whatever else is wrong is wrong with the token. */
const keyServerFaults = new Set(['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT']);

/** Apple has a code of its own for it. */
const denials = new Set(['access_denied', 'user_cancelled_authorize']);

/** What is found out about a provider when it is first used. */
interface Discovered {
  readonly configuration: openid.Configuration;
  /** Fetched when first needed, and again for a key that is not among them. */
  readonly keys: ReturnType<typeof createRemoteJWKSet>;
}

/** A provider of OpenID Connect. */
export class OpenIdProvider implements OAuthProvider {
  readonly name: OAuthProviderName;
  private discovered: Promise<Discovered> | null = null;

  constructor(private readonly settings: OpenIdSettings) {
    this.name = settings.name;
  }

  async authorizationUrl({ state, nonce, codeVerifier }: FlowSecrets): Promise<URL> {
    const { configuration } = await this.discover();
    return openid.buildAuthorizationUrl(configuration, {
      redirect_uri: this.settings.callbackUrl,
      scope: this.settings.scope,
      state,
      nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      ...this.settings.parameters,
    });
  }

  async redeem(callback: URL, { state, nonce, codeVerifier }: FlowSecrets): Promise<OAuthProfile> {
    const { configuration } = await this.discover();
    try {
      const tokens = await openid.authorizationCodeGrant(configuration, callback, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: codeVerifier,
        idTokenExpected: true,
      });
      const profile = toProfile(tokens.claims()!);
      return { ...profile, name: profile.name ?? this.settings.nameOf?.(callback) ?? null };
    } catch (error) {
      if (error instanceof openid.AuthorizationResponseError && denials.has(error.error)) {
        throw new DomainError('oauth_denied');
      }
      throw providerFailure(error);
    }
  }

  async verify({ idToken, nonce }: NativeToken): Promise<OAuthProfile> {
    if (idToken === undefined || nonce === undefined) throw new DomainError('oauth_token_invalid');
    const { keys } = await this.discover();
    const claims = await this.verifyToken(idToken, keys);
    const expectedNonce = createHash('sha256').update(nonce).digest('hex');
    if (claims['nonce'] !== expectedNonce || typeof claims.sub !== 'string') {
      throw new DomainError('oauth_token_invalid');
    }
    return toProfile({ ...claims, sub: claims.sub });
  }

  private async verifyToken(token: string, keys: Discovered['keys']): Promise<JWTPayload> {
    const { issuer, clientId, nativeClientIds } = this.settings;
    try {
      const { payload } = await jwtVerify(token, keys, {
        // Google leaves the scheme out of some of its tokens.
        issuer: [issuer, issuer.replace(/^https:\/\//, '')],
        audience: [clientId, ...nativeClientIds],
        algorithms: ALGORITHMS,
        requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError && !keyServerFaults.has(error.code)) {
        throw new DomainError('oauth_token_invalid', { cause: error });
      }
      throw providerFailure(error);
    }
  }

  /** Once; again only after it failed. */
  private async discover(): Promise<Discovered> {
    this.discovered ??= this.readMetadata();
    try {
      return await this.discovered;
    } catch (error) {
      this.discovered = null;
      throw providerFailure(error);
    }
  }

  private async readMetadata(): Promise<Discovered> {
    const { issuer, clientId, authentication } = this.settings;
    const isPlainHttp = issuer.startsWith('http:');
    const configuration = await openid.discovery(
      new URL(issuer),
      clientId,
      undefined,
      authentication,
      {
        timeout: TIMEOUT_SECONDS,
        execute: [
          openid.enableNonRepudiationChecks,
          // oxlint-disable-next-line typescript/no-deprecated -- marked so to stand out; config.ts allows it on localhost only
          ...(isPlainHttp ? [openid.allowInsecureRequests] : []),
        ],
      },
    );
    const { jwks_uri: keysUrl } = configuration.serverMetadata();
    if (keysUrl === undefined) throw new Error(`${issuer} does not say where its keys are`);
    return {
      configuration,
      keys: createRemoteJWKSet(new URL(keysUrl), { timeoutDuration: TIMEOUT_SECONDS * 1000 }),
    };
  }
}

function toProfile(claims: { readonly sub: string } & Record<string, unknown>): OAuthProfile {
  const email = Email.safeParse(claims['email']);
  const { email_verified: verified, name } = claims;
  return {
    subject: claims.sub,
    email: email.success ? email.data : null,
    // Apple has written it as text.
    isEmailVerified: verified === true || verified === 'true',
    name: typeof name === 'string' ? name : null,
  };
}
