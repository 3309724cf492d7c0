import { Injectable } from '@nestjs/common';
import { ClientSecretPost } from 'openid-client';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { GLOBAL_PREFIX } from '../../platform/http/global-prefix.js';
import { appleAuthentication, appleNameOf } from './apple.js';
import { FacebookProvider } from './facebook-provider.js';
import type { OAuthProvider } from './oauth-provider.js';
import { OpenIdProvider } from './openid-provider.js';

/** The providers that the server is configured with. */
@Injectable()
export class OAuthProviders {
  private readonly byName: ReadonlyMap<string, OAuthProvider>;

  constructor(@InjectConfig() private readonly config: Config) {
    this.byName = new Map(this.configured().map((provider) => [provider.name, provider]));
  }

  /** @throws DomainError `not_found` */
  get(name: string): OAuthProvider {
    const provider = this.byName.get(name);
    if (!provider) {
      throw new DomainError('not_found', {
        detail: 'This server is not configured for sign-in with this provider',
      });
    }
    return provider;
  }

  /** Where the provider sends browsers back to: one address for each, so that none can answer for another. */
  callbackUrl(name: string): string {
    return `${this.config.oauth.publicUrl}/${GLOBAL_PREFIX}/auth/oauth/${name}/callback`;
  }

  private configured(): OAuthProvider[] {
    const { apple, facebook, google } = this.config.oauth;
    const providers: OAuthProvider[] = [];
    if (google) {
      providers.push(
        new OpenIdProvider({
          ...google,
          name: 'google',
          authentication: ClientSecretPost(google.clientSecret),
          callbackUrl: this.callbackUrl('google'),
          scope: 'openid email profile',
        }),
      );
    }
    if (apple) {
      providers.push(
        new OpenIdProvider({
          ...apple,
          name: 'apple',
          authentication: appleAuthentication(apple),
          callbackUrl: this.callbackUrl('apple'),
          scope: 'openid email name',
          // Apple gives out name and address in no other way.
          parameters: { response_mode: 'form_post' },
          nameOf: appleNameOf,
        }),
      );
    }
    if (facebook) {
      const callbackUrl = this.callbackUrl('facebook');
      providers.push(new FacebookProvider({ ...facebook, callbackUrl }));
    }
    return providers;
  }
}
