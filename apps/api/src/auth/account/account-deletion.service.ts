import { Injectable } from '@nestjs/common';
import type { DeleteAccountBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { UsersService } from '../../users/users.service.js';
import { AuthMails } from '../mails/auth-mails.service.js';
import { PrincipalsService } from '../principals.service.js';
import { ReauthenticationService } from '../reauthentication.service.js';

@Injectable()
export class AccountDeletionService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly mails: AuthMails,
    private readonly principals: PrincipalsService,
    private readonly reauthentication: ReauthenticationService,
    private readonly users: UsersService,
  ) {}

  /**
   * Deletes the account, and says goodbye. Foreign keys and triggers take all that belongs to it, and
   * announce the end of its sessions.
   *
   * @throws DomainError as `ReauthenticationService.require`; `last_admin`; `session_ended` when the
   *   account is gone
   */
  async delete(principal: Principal, proof: DeleteAccountBody, client: ClientInfo): Promise<void> {
    await this.reauthentication.require(principal, proof, client);
    const { userId } = principal;
    await this.database.transaction(async () => {
      await this.users.lockForDeletion(userId);
      const { email, language } = await this.users.getRecipient(userId);
      // Before: the deletion takes from it what is personal, as from all earlier events.
      await this.audit.record({ action: 'account_deleted', userId }, client);
      await this.users.delete(userId);
      await this.mails.sayGoodbye(email, language);
      this.database.afterCommit(() => this.principals.forget(principal));
    });
    await this.mails.forget(userId);
  }
}
