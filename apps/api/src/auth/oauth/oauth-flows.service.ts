import { Injectable, Logger } from '@nestjs/common';
import type { Language, OAuthProviderName, StartOAuthQuery } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import { digest, newSecret } from '../one-time-secrets.js';
import { flowSecretsOf, isSameText } from './flow-secrets.js';
import { OAuthAccountsService } from './oauth-accounts.service.js';
import { type Code, type Flow, OAuthFlowsRepository } from './oauth-flows.repository.js';
import { logFailure, type OAuthProfile } from './oauth-provider.js';
import { OAuthProviders } from './oauth-providers.js';

export const FLOW_LIFETIME_SECONDS = 600;
const CODE_LIFETIME_SECONDS = 60;

/** A browser that is back from a provider. */
export interface Return {
  readonly provider: string;
  /** Of the flow that the browser was sent away with. */
  readonly cookie: string | undefined;
  /** What the provider added to the address, or posted. */
  readonly parameters: string;
  readonly language: Language;
  readonly client: ClientInfo;
}

/** Sends browsers to providers, and back to the app with a code that only the app can use. */
@Injectable()
export class OAuthFlowsService {
  private readonly logger = new Logger(OAuthFlowsService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly audit: AuditService,
    private readonly providers: OAuthProviders,
    private readonly flows: OAuthFlowsRepository,
    private readonly accounts: OAuthAccountsService,
  ) {}

  /**
   * Where to send the browser, and the cookie to send it with.
   *
   * @throws DomainError `not_found`, `return_url_not_allowed`, `oauth_failed`
   */
  async start(name: string, query: StartOAuthQuery): Promise<{ url: string; cookie: string }> {
    const provider = this.providers.get(name);
    if (!this.config.oauth.returnUrls.includes(query.returnTo)) {
      throw new DomainError('return_url_not_allowed');
    }
    const cookie = newSecret();
    const secrets = flowSecretsOf(cookie);
    const url = await this.reported(provider.authorizationUrl(secrets), name);
    await this.flows.createFlow({
      ...query,
      id: secrets.id,
      provider: name,
      lifetimeSeconds: FLOW_LIFETIME_SECONDS,
    });
    return { url: url.href, cookie };
  }

  /**
   * Where to send the browser next: to the app, with `code` or with `error`. Where the browser was
   * not sent away from here, it is sent nowhere.
   *
   * @throws DomainError `not_found`, `oauth_flow_invalid`
   */
  async finish(visit: Return): Promise<string> {
    const provider = this.providers.get(visit.provider);
    const secrets = flowSecretsOf(visit.cookie ?? '');
    const callback = new URL(this.providers.callbackUrl(visit.provider));
    callback.search = visit.parameters;
    // Before the flow is used up: a foreign site can make the browser come here, too.
    if (!isSameText(callback.searchParams.get('state') ?? '', secrets.state)) throw invalidFlow();
    const flow = await this.flows.takeFlow(secrets.id, provider.name);
    if (!flow) throw invalidFlow();
    try {
      const redeemed = provider.redeem(callback, secrets);
      const signsIn = flow.purpose === 'sign_in';
      const profile = await this.reported(redeemed, provider.name, signsIn ? visit.client : null);
      const code = await (signsIn
        ? this.issueSignInCode(provider.name, profile, flow, visit)
        : this.issueLinkCode(provider.name, profile, flow));
      return backToApp(flow, { code });
    } catch (error) {
      if (error instanceof DomainError) return backToApp(flow, { error: error.code });
      throw error;
    }
  }

  /** Who may link the account shows later: it is not decided by the browser that brought it. */
  private issueLinkCode(
    provider: OAuthProviderName,
    { subject, email }: OAuthProfile,
    { codeChallenge }: Flow,
  ): Promise<string> {
    return this.issueCode({ userId: null, provider, subject, email, codeChallenge });
  }

  private issueSignInCode(
    provider: OAuthProviderName,
    profile: OAuthProfile,
    { codeChallenge }: Flow,
    { language, client }: Return,
  ): Promise<string> {
    return this.accounts.forVisitor({ provider, profile, language, client }, (userId) =>
      this.issueCode({ userId, provider, subject: null, email: null, codeChallenge }),
    );
  }

  private async issueCode(what: Code): Promise<string> {
    const code = newSecret();
    const lifetimeSeconds = CODE_LIFETIME_SECONDS;
    await this.flows.createCode({ id: digest(code), ...what, lifetimeSeconds });
    return code;
  }

  private async reported<T>(
    answer: Promise<T>,
    provider: string,
    client: ClientInfo | null = null,
  ): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      logFailure(this.logger, provider, error);
      if (error instanceof DomainError && client) {
        const { code: reason } = error;
        await this.audit.record(
          { action: 'sign_in_refused', userId: null, reason, detail: { provider } },
          client,
        );
      }
      throw error;
    }
  }
}

const invalidFlow = () => new DomainError('oauth_flow_invalid');

function backToApp({ returnTo }: Flow, parameters: Record<string, string>): string {
  const url = new URL(returnTo);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}
