import { Injectable, Logger } from '@nestjs/common';
import type { ExchangeOAuthBody, Language, LoginResult, OAuthTokenBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import { digest } from '../one-time-secrets.js';
import { SignInService } from '../sign-in.service.js';
import { answersChallenge } from './flow-secrets.js';
import { OAuthAccountsService } from './oauth-accounts.service.js';
import { OAuthFlowsRepository } from './oauth-flows.repository.js';
import { logFailure } from './oauth-provider.js';
import { OAuthProviders } from './oauth-providers.js';

interface Origin {
  readonly client: ClientInfo;
  readonly language: Language;
}

/** Gives an app its tokens, for a code or for what a provider's own library told it. */
@Injectable()
export class OAuthSignInService {
  private readonly logger = new Logger(OAuthSignInService.name);

  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly providers: OAuthProviders,
    private readonly flows: OAuthFlowsRepository,
    private readonly accounts: OAuthAccountsService,
    private readonly signIn: SignInService,
  ) {}

  /** @throws DomainError `oauth_code_invalid`, `account_deactivated`, `email_not_verified` */
  async exchange(body: ExchangeOAuthBody, client: ClientInfo): Promise<LoginResult> {
    let userId: string | null = null;
    const admitted = await this.database
      .transaction(async () => {
        const code = await this.flows.takeCode(digest(body.code));
        userId = code?.userId ?? null;
        // Used up all the same: whoever has it got it from where it should not have been.
        if (!userId || !code || !answersChallenge(body.codeVerifier, code.codeChallenge))
          return null;
        const method = `oauth:${code.provider}` as const;
        return this.signIn.admit({ userId, method, device: body.device }, client);
      })
      .catch(async (error: unknown) => {
        // What was recorded inside was rolled back.
        if (error instanceof DomainError) await this.recordRefusal(userId, error.code, client);
        throw error;
      });
    if (admitted) return admitted;
    await this.recordRefusal(userId, 'oauth_code_invalid', client);
    throw new DomainError('oauth_code_invalid');
  }

  /**
   * @throws DomainError `not_found`, `oauth_token_invalid`, `oauth_failed`, `account_deactivated`,
   *   `email_not_verified`, and as `OAuthAccountsService.forVisitor`
   */
  async signInNatively(
    name: string,
    { name: givenName, device, ...token }: OAuthTokenBody,
    { client, language }: Origin,
  ): Promise<LoginResult> {
    const provider = this.providers.get(name);
    const verified = await provider.verify(token).catch(async (error: unknown) => {
      logFailure(this.logger, name, error);
      if (error instanceof DomainError) await this.recordRefusal(null, error.code, client);
      throw error;
    });
    const profile = { ...verified, name: verified.name ?? givenName ?? null };
    return this.accounts.forVisitor(
      { provider: provider.name, profile, language, client },
      (userId) => {
        const method = `oauth:${provider.name}` as const;
        return this.signIn.admit({ userId, method, device }, client);
      },
    );
  }

  private async recordRefusal(userId: string | null, reason: string, client: ClientInfo) {
    await this.audit.record({ action: 'sign_in_refused', userId, reason }, client);
  }
}
