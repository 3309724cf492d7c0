import { Injectable } from '@nestjs/common';
import type { RequestMailBody, ResetPasswordBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import { NotificationsService } from '../../notifications/notifications.service.js';
import { NewPasswords } from '../../platform/passwords/new-passwords.js';
import { UsersService } from '../../users/users.service.js';
import { AbuseProtection } from '../abuse-protection.js';
import { AddressProofsService } from '../address-proofs.service.js';
import { AuthMails } from '../mails/auth-mails.service.js';
import { MailTokensService } from '../mails/mail-tokens.service.js';
import { SessionsService } from '../sessions.service.js';

/** A new password for who holds the address of the account. */
@Injectable()
export class PasswordRecoveryService {
  constructor(
    private readonly abuse: AbuseProtection,
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly newPasswords: NewPasswords,
    private readonly notifications: NotificationsService,
    private readonly mails: AuthMails,
    private readonly proofs: AddressProofsService,
    private readonly sessions: SessionsService,
    private readonly tokens: MailTokensService,
    private readonly users: UsersService,
  ) {}

  /** The same for every address. @throws DomainError `captcha_failed`, `rate_limited` */
  async request(body: RequestMailBody, client: ClientInfo): Promise<void> {
    await this.abuse.admit(body, client);
    const userId = (await this.users.findCredentials(body.email))?.userId ?? null;
    await this.database.transaction(async () => {
      await this.mails.requestLink('reset_password', userId);
      await this.audit.record({ action: 'password_reset_requested', userId }, client);
    });
  }

  /** All sessions end. @throws DomainError `mail_token_invalid` */
  async reset({ token, password }: ResetPasswordBody, client: ClientInfo): Promise<void> {
    // Before the hash, which costs more than anybody may have done for a guess.
    const { email } = await this.tokens.check(token, 'reset_password');
    const passwordHash = await this.newPasswords.hash({ password, email });
    await this.tokens.use(token, 'reset_password', async ({ userId }) => {
      await this.proofs.prove(userId, { method: 'reset', client });
      await this.users.setPasswordHash(userId, passwordHash);
      await this.sessions.endAll(userId, undefined, { client });
      await this.tokens.voidAll(userId);
      await this.audit.record({ action: 'password_reset', userId }, client);
      await this.notifications.notify(userId, { type: 'password_changed', data: {} });
    });
  }
}
