import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';
import { UsersService } from '../users/users.service.js';
import { KnownDevices } from './known-devices.js';
import { IdentitiesRepository } from './oauth/identities.repository.js';
import { OAuthFlowsRepository } from './oauth/oauth-flows.repository.js';
import { MailTokensService } from './mails/mail-tokens.service.js';
import { SessionsService } from './sessions.service.js';

/**
 * What it means that somebody has shown to hold the address of an account. Whoever set up the
 * account before may be somebody else, who registered an address that is not theirs.
 */
@Injectable()
export class AddressProofsService {
  constructor(
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
  async prove(userId: string): Promise<void> {
    await this.database.transaction(async () => {
      if (!(await this.users.markEmailVerified(userId))) return;
      await this.users.removePassword(userId);
      await this.sessions.endAll(userId);
      // In this order: a sign-in under way holds its identity, and may still leave a code.
      await this.identities.deleteAll(userId);
      await this.oauthFlows.deleteCodesOf(userId);
      await this.tokens.voidAll(userId);
      await this.devices.forgetAll(userId);
    });
  }
}
