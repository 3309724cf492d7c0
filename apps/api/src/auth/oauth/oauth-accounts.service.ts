import { Injectable } from '@nestjs/common';
import type { Language, OAuthProviderName } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { NotificationsService } from '../../notifications/notifications.service.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import { UsersService } from '../../users/users.service.js';
import { AddressProofsService } from '../address-proofs.service.js';
import { AuthMails } from '../mails/auth-mails.service.js';
import { displayNameOf } from './display-name.js';
import { IdentitiesRepository, IdentityTakenError } from './identities.repository.js';
import type { OAuthProfile } from './oauth-provider.js';

/** Somebody whom a provider has vouched for. */
export interface Visitor {
  readonly provider: OAuthProviderName;
  readonly profile: OAuthProfile;
  readonly language: Language;
  readonly client: ClientInfo;
}

/** Two first sign-ins at once: the one that comes second finds what the other made. */
const MAX_ATTEMPTS = 3;

/** Finds or makes the account of somebody who signed in at a provider. */
@Injectable()
export class OAuthAccountsService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly notifications: NotificationsService,
    private readonly users: UsersService,
    private readonly identities: IdentitiesRepository,
    private readonly mails: AuthMails,
    private readonly proofs: AddressProofsService,
  ) {}

  /**
   * Runs `work` for the visitor's account, in one transaction with finding it. A refusal is recorded.
   *
   * @throws DomainError `oauth_email_missing`, `oauth_email_unverified`, and whatever `work` throws
   */
  async forVisitor<T>(visitor: Visitor, work: (userId: string) => Promise<T>): Promise<T> {
    let userId: string | null = null;
    const attempt = () =>
      this.database.transaction(async () => {
        userId = await this.resolve(visitor);
        return settle(work(userId));
      });
    const settled = await this.retrying(attempt).catch(async (error: unknown) => {
      if (error instanceof DomainError) {
        const { provider, client } = visitor;
        await this.audit.record(
          { action: 'sign_in_refused', userId, reason: error.code, detail: { provider } },
          client,
        );
      }
      throw error;
    });
    if ('refusal' in settled) throw settled.refusal;
    return settled.result;
  }

  private async retrying<T>(attempt: () => Promise<T>): Promise<T> {
    for (let count = 1; ; count += 1) {
      try {
        return await attempt();
      } catch (error) {
        const isRace =
          error instanceof IdentityTakenError ||
          (error instanceof DomainError && error.code === 'email_already_used');
        if (!isRace || count === MAX_ATTEMPTS) throw error;
      }
    }
  }

  private async resolve(visitor: Visitor): Promise<string> {
    const { provider, profile, client } = visitor;
    const known = await this.identities.lockUserId(provider, profile.subject);
    if (known === null) return this.join(visitor);
    const user = await this.users.get(known);
    if (!user.emailVerified && profile.isEmailVerified && profile.email === user.email) {
      await this.proofs.prove(known, { method: provider, client });
      await this.link(known, visitor);
    }
    return known;
  }

  /** A first visit: to the account with the same address, or to a new one. */
  private async join(visitor: Visitor): Promise<string> {
    const { provider, client } = visitor;
    const { email, isEmailVerified } = visitor.profile;
    if (email === null) throw new DomainError('oauth_email_missing');
    const existing = await this.users.findCredentials(email);
    if (existing && !isEmailVerified) throw new DomainError('oauth_email_unverified');
    const userId = existing?.userId ?? (await this.createUser(visitor, email));
    if (isEmailVerified) await this.proofs.prove(userId, { method: provider, client });
    await this.link(userId, visitor);
    return userId;
  }

  /** Where the provider does not vouch for the address, a mail lets its owner do so. */
  private async createUser({ profile, language, client }: Visitor, email: string): Promise<string> {
    const displayName = displayNameOf(profile.name, email);
    const userId = await this.users.create({ email, displayName, language, passwordHash: null });
    await this.audit.record({ action: 'registered', userId }, client);
    if (!profile.isEmailVerified) await this.mails.sendLink('verify_email', userId, email);
    await this.notifications.notify(userId, { type: 'welcome', data: {} });
    return userId;
  }

  private async link(userId: string, { provider, profile, client }: Visitor): Promise<void> {
    const { subject, email } = profile;
    await this.identities.create({ userId, provider, subject, email });
    await this.audit.record({ action: 'identity_linked', userId, detail: { provider } }, client);
  }
}

/**
 * What is refused for want of a verified address is refused behind the commit: else the account that
 * was just made would go with it, and nobody could ever verify its address.
 */
async function settle<T>(work: Promise<T>): Promise<{ result: T } | { refusal: DomainError }> {
  try {
    return { result: await work };
  } catch (error) {
    if (error instanceof DomainError && error.code === 'email_not_verified')
      return { refusal: error };
    throw error;
  }
}
