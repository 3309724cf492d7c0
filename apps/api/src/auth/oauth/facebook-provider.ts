import { createHmac } from 'node:crypto';
import { Email } from '@rind/contracts';
import * as openid from 'openid-client';
import { z } from 'zod';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { FlowSecrets } from './flow-secrets.js';
import {
  type NativeToken,
  type OAuthProfile,
  type OAuthProvider,
  providerFailure,
} from './oauth-provider.js';

export interface FacebookSettings {
  readonly appId: string;
  readonly appSecret: string;
  readonly authorizeUrl: string;
  readonly graphUrl: string;
  readonly callbackUrl: string;
}

const TIMEOUT_SECONDS = 10;

const Me = z.object({
  id: z.string().min(1),
  name: z.string().optional(),
  email: z.string().optional(),
});

const TokenInfo = z.object({
  data: z.object({
    app_id: z.string().optional(),
    user_id: z.string().optional(),
    is_valid: z.boolean().optional(),
  }),
});

/** Facebook speaks OAuth 2 without OpenID Connect, and does not say whether it verified an address. */
export class FacebookProvider implements OAuthProvider {
  readonly name = 'facebook';
  private readonly configuration: openid.Configuration;

  constructor(private readonly settings: FacebookSettings) {
    const { appId, appSecret, authorizeUrl, graphUrl } = settings;
    this.configuration = new openid.Configuration(
      {
        issuer: new URL(authorizeUrl).origin,
        authorization_endpoint: authorizeUrl,
        token_endpoint: `${graphUrl}/oauth/access_token`,
      },
      appId,
      undefined,
      openid.ClientSecretPost(appSecret),
    );
    this.configuration.timeout = TIMEOUT_SECONDS;
    if (graphUrl.startsWith('http:')) {
      // oxlint-disable-next-line typescript/no-deprecated -- marked so to stand out; config.ts allows it on localhost only
      openid.allowInsecureRequests(this.configuration);
    }
  }

  async authorizationUrl({ state, codeVerifier }: FlowSecrets): Promise<URL> {
    return openid.buildAuthorizationUrl(this.configuration, {
      redirect_uri: this.settings.callbackUrl,
      scope: 'public_profile,email',
      state,
      code_challenge: await openid.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    });
  }

  async redeem(callback: URL, { state, codeVerifier }: FlowSecrets): Promise<OAuthProfile> {
    const token = await this.accessTokenFor(callback, { state, codeVerifier });
    return this.profileOf(token);
  }

  /** Any app can ask anybody for a token: only one that was made for this app shows who sits there. */
  async verify({ accessToken }: NativeToken): Promise<OAuthProfile> {
    if (accessToken === undefined) throw new DomainError('oauth_token_invalid');
    const { appId, appSecret } = this.settings;
    const query = { input_token: accessToken };
    const { data } = await this.ask('debug_token', query, `${appId}|${appSecret}`, TokenInfo);
    if (data.is_valid !== true || data.app_id !== appId || data.user_id === undefined) {
      throw new DomainError('oauth_token_invalid');
    }
    const profile = await this.profileOf(accessToken);
    if (profile.subject !== data.user_id) throw new DomainError('oauth_token_invalid');
    return profile;
  }

  private async accessTokenFor(
    callback: URL,
    { state, codeVerifier }: Pick<FlowSecrets, 'state' | 'codeVerifier'>,
  ): Promise<string> {
    try {
      const tokens = await openid.authorizationCodeGrant(this.configuration, callback, {
        expectedState: state,
        pkceCodeVerifier: codeVerifier,
      });
      return tokens.access_token;
    } catch (error) {
      if (error instanceof openid.AuthorizationResponseError && error.error === 'access_denied') {
        throw new DomainError('oauth_denied');
      }
      throw providerFailure(error);
    }
  }

  private async profileOf(accessToken: string): Promise<OAuthProfile> {
    const query = {
      fields: 'id,name,email',
      // Shows that it is the app that asks, not whoever found the token.
      appsecret_proof: createHmac('sha256', this.settings.appSecret)
        .update(accessToken)
        .digest('hex'),
    };
    const me = await this.ask('me', query, accessToken, Me);
    const email = Email.safeParse(me.email);
    return {
      subject: me.id,
      email: email.success ? email.data : null,
      isEmailVerified: false,
      name: me.name ?? null,
    };
  }

  private async ask<Schema extends z.ZodType>(
    path: string,
    query: Record<string, string>,
    token: string,
    schema: Schema,
  ): Promise<z.infer<Schema>> {
    const url = `${this.settings.graphUrl}/${path}?${new URLSearchParams(query).toString()}`;
    try {
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${token}` },
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000),
      });
      if (!response.ok) throw new Error(`/${path} answered ${response.status}`);
      return schema.parse(await response.json());
    } catch (error) {
      throw providerFailure(error);
    }
  }
}
