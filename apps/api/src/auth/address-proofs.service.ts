import { Injectable } from '@nestjs/common';
import { AuditService } from '../audit/audit.service.js';
import { Database } from '../platform/database/database.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { UsersService } from '../users/users.service.js';
import { KnownDevices } from './known-devices.js';
import { IdentitiesRepository } from './oauth/identities.repository.js';
import { OAuthFlowsRepository } from './oauth/oauth-flows.repository.js';
import { MailTokensService } from './mails/mail-tokens.service.js';
import { SessionsService } from './sessions.service.js';

/** How somebody showed to hold an address: by the mail of a reset, or by the name of a provider. */
interface Proof {
  readonly method: string;
  readonly client: ClientInfo | null;
}

/**
 * What it means that somebody has shown to hold the address of an account. Whoever set up the
 * account before may be somebody else, who registered an address that is not theirs.
 */
@Injectable()
export class AddressProofsService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly identities: IdentitiesRepository,
    private readonly oauthFlows: OAuthFlowsRepository,
    private readonly tokens: MailTokensService,
    private readonly devices: KnownDevices,
  ) {}

  /**
   * Marks the address as verified. When it never was before, everything that the account was set up
   * with goes: password, sessions, identities, the links of pending mails, codes that would still
   * become sessions, and what devices it was used on. Joins a current transaction.
   */
  async prove(userId: string, { method: reason, client }: Proof): Promise<void> {
    await this.database.transaction(async () => {
      if (!(await this.users.markEmailVerified(userId))) return;
      await this.audit.record({ action: 'email_verified', userId, reason }, client);
      if (await this.users.removePassword(userId)) {
        await this.audit.record({ action: 'password_removed', userId, reason }, client);
      }
      await this.sessions.endAll(userId, undefined, { client });
      // In this order: a sign-in under way holds its identity, and may still leave a code.
      for (const provider of await this.identities.deleteAll(userId)) {
        const event = {
          action: 'identity_unlinked',
          userId,
          reason,
          detail: { provider },
        } as const;
        await this.audit.record(event, client);
      }
      await this.oauthFlows.deleteCodesOf(userId);
      await this.tokens.voidAll(userId);
      await this.devices.forgetAll(userId);
    });
  }
}
