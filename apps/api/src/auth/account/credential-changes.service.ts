import { Injectable } from '@nestjs/common';
import type { ChangeEmailBody, ChangePasswordBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { NotificationsService } from '../../notifications/notifications.service.js';
import { NewPasswords } from '../../platform/passwords/new-passwords.js';
import { UsersService } from '../../users/users.service.js';
import { AbuseProtection } from '../abuse-protection.js';
import { AuthMails } from '../mails/auth-mails.service.js';
import { MailTokensService } from '../mails/mail-tokens.service.js';
import { ReauthenticationService } from '../reauthentication.service.js';
import { SessionsService } from '../sessions.service.js';

/** What a signed-in user changes about signing in. */
@Injectable()
export class CredentialChangesService {
  constructor(
    private readonly abuse: AbuseProtection,
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly newPasswords: NewPasswords,
    private readonly notifications: NotificationsService,
    private readonly mails: AuthMails,
    private readonly reauthentication: ReauthenticationService,
    private readonly sessions: SessionsService,
    private readonly tokens: MailTokensService,
    private readonly users: UsersService,
  ) {}

  /**
   * All other sessions end.
   *
   * @throws DomainError as `ReauthenticationService.require`; `reauthentication_failed` also when
   *   the password was changed meanwhile; `session_ended`
   */
  async changePassword(
    principal: Principal,
    { currentPassword, newPassword, code }: ChangePasswordBody,
    client: ClientInfo,
  ): Promise<void> {
    const { userId, sessionId } = principal;
    const passwordHash = await this.users.findPasswordHash(userId);
    await this.reauthentication.require(principal, { password: currentPassword, code }, client);
    const { email } = await this.users.get(userId);
    const choice = { password: newPassword, email, pointer: '/newPassword' };
    const newHash = await this.newPasswords.hash(choice);
    await this.database.transaction(async () => {
      await this.sessions.lockSignedIn(principal);
      if (!(await this.users.replacePasswordHash({ userId, passwordHash }, newHash))) {
        throw new DomainError('reauthentication_failed');
      }
      await this.sessions.endAll(userId, sessionId, { client });
      await this.tokens.voidAll(userId);
      await this.audit.record({ action: 'password_changed', userId, sessionId }, client);
      await this.notifications.notify(userId, { type: 'password_changed', data: {} });
    });
  }

  /**
   * Sends a mail to the new address; nothing changes before it is confirmed. Whether somebody else
   * has the address is told to nobody but its owner.
   *
   * @throws DomainError as `ReauthenticationService.require`; `email_not_verified`, `rate_limited`
   */
  async requestEmailChange(
    principal: Principal,
    { email, password, code }: ChangeEmailBody,
    client: ClientInfo,
  ): Promise<void> {
    const { userId, sessionId } = principal;
    await this.reauthentication.require(principal, { password, code }, client);
    if (!(await this.users.get(userId)).emailVerified) throw new DomainError('email_not_verified');
    await this.abuse.admitMailTo(email);
    await this.database.transaction(async () => {
      await this.mails.sendLink('change_email', userId, email);
      await this.audit.record({ action: 'email_change_requested', userId, sessionId }, client);
    });
  }

  /**
   * @throws DomainError `mail_token_invalid`; `email_already_used` when somebody took the address
   *   meanwhile; `session_ended`
   */
  async confirmEmailChange(principal: Principal, token: string, client: ClientInfo): Promise<void> {
    const { userId, sessionId } = principal;
    await this.tokens.use(token, 'change_email', async (row) => {
      if (row.userId !== userId) throw new DomainError('mail_token_invalid');
      await this.sessions.lockSignedIn(principal);
      const { email: oldEmail, language } = await this.users.getRecipient(userId);
      await this.users.setVerifiedEmail(userId, row.email);
      await this.tokens.voidAll(userId);
      await this.audit.record({ action: 'email_changed', userId, sessionId }, client);
      await this.mails.sendToOldAddress(oldEmail, language, userId);
    });
  }
}
