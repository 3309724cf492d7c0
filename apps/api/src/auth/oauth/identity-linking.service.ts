import { Injectable, Logger } from '@nestjs/common';
import type {
  Identity,
  LinkIdentityBody,
  LinkIdentityTokenBody,
  OAuthProviderName,
} from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { UsersService } from '../../users/users.service.js';
import { digest } from '../one-time-secrets.js';
import { type Reauthentication, ReauthenticationService } from '../reauthentication.service.js';
import { SessionsService } from '../sessions.service.js';
import { answersChallenge } from './flow-secrets.js';
import { toIdentity } from './identities.mapper.js';
import { IdentitiesRepository } from './identities.repository.js';
import { OAuthFlowsRepository } from './oauth-flows.repository.js';
import { logFailure, type OAuthProfile } from './oauth-provider.js';
import { OAuthProviders } from './oauth-providers.js';

/** An account at a provider, whose user has just been there. */
interface ProvenIdentity extends Pick<OAuthProfile, 'subject' | 'email'> {
  readonly provider: OAuthProviderName;
}

/**
 * Links accounts at providers to the account that is signed in. A browser, which anybody can send
 * anywhere, only brings a code: what links is a request of the app, with its session, its own PKCE
 * verifier, and the user's password or recent sign-in.
 */
@Injectable()
export class IdentityLinkingService {
  private readonly logger = new Logger(IdentityLinkingService.name);

  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly flows: OAuthFlowsRepository,
    private readonly identities: IdentitiesRepository,
    private readonly providers: OAuthProviders,
    private readonly reauthentication: ReauthenticationService,
    private readonly sessions: SessionsService,
    private readonly users: UsersService,
  ) {}

  /**
   * @throws DomainError `identity_unproven`, `identity_already_linked`, `email_not_verified`, and as
   *   `ReauthenticationService.require`
   */
  async linkByCode(
    principal: Principal,
    { oauthCode, codeVerifier, ...proof }: LinkIdentityBody,
    client: ClientInfo,
  ): Promise<Identity> {
    await this.requireRight(principal, proof, client);
    const code = await this.flows.takeCode(digest(oauthCode));
    // Used up all the same: whoever has it got it from where it should not have been.
    if (!code?.subject || !answersChallenge(codeVerifier, code.codeChallenge)) {
      throw new DomainError('identity_unproven');
    }
    const { provider, subject, email } = code;
    return this.link(principal, { provider, subject, email }, client);
  }

  /** @throws DomainError `not_found`, `oauth_failed`, and as `linkByCode` */
  async linkByToken(
    principal: Principal,
    name: string,
    { password, code, ...token }: LinkIdentityTokenBody,
    client: ClientInfo,
  ): Promise<Identity> {
    const provider = this.providers.get(name);
    await this.requireRight(principal, { password, code }, client);
    const { subject, email } = await provider.verify(token).catch((error: unknown) => {
      logFailure(this.logger, name, error);
      throw isRefusal(error) ? new DomainError('identity_unproven', { cause: error }) : error;
    });
    return this.link(principal, { provider: provider.name, subject, email }, client);
  }

  /** An unverified address may be somebody else's, who must not find an identity in the account. */
  private async requireRight(
    principal: Principal,
    proof: Reauthentication,
    client: ClientInfo,
  ): Promise<void> {
    const { emailVerified } = await this.users.get(principal.userId);
    if (!emailVerified) throw new DomainError('email_not_verified');
    await this.reauthentication.require(principal, proof, client);
  }

  private async link(
    principal: Principal,
    { provider, subject, email }: ProvenIdentity,
    client: ClientInfo,
  ): Promise<Identity> {
    const { userId, sessionId } = principal;
    return this.database.transaction(async () => {
      await this.sessions.lockSignedIn(principal);
      const identity = { userId, provider, subject, email };
      const created = await this.identities.createUnlessTaken(identity);
      if (!created) return this.getOwn(identity);
      const detail = { provider };
      await this.audit.record({ action: 'identity_linked', userId, sessionId, detail }, client);
      return toIdentity(created);
    });
  }

  /** Linking once more changes nothing. */
  private async getOwn({
    userId,
    provider,
    subject,
  }: ProvenIdentity & { readonly userId: string }): Promise<Identity> {
    const found = await this.identities.find(provider, subject);
    if (found?.userId !== userId) throw new DomainError('identity_already_linked');
    return toIdentity(found);
  }
}

/** Not a 401: it is the provider's token that is wrong, and the session goes on. */
const isRefusal = (error: unknown) =>
  error instanceof DomainError && error.code === 'oauth_token_invalid';
