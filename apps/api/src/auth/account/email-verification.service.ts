import { Injectable } from '@nestjs/common';
import type { RequestMailBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import { UsersService } from '../../users/users.service.js';
import { AbuseProtection } from '../abuse-protection.js';
import { AuthMails } from '../mails/auth-mails.service.js';
import { MailTokensService } from '../mails/mail-tokens.service.js';
import { SessionsService } from '../sessions.service.js';

/** Whether the address that somebody registered is theirs. */
@Injectable()
export class EmailVerificationService {
  constructor(
    private readonly abuse: AbuseProtection,
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly mails: AuthMails,
    private readonly sessions: SessionsService,
    private readonly tokens: MailTokensService,
    private readonly users: UsersService,
  ) {}

  /** Takes nothing from the account: the phone that registered stays signed in. @throws DomainError `mail_token_invalid` */
  async verify(token: string, client: ClientInfo): Promise<void> {
    await this.tokens.use(token, 'verify_email', async ({ userId }) => {
      await this.users.markEmailVerified(userId);
      await this.audit.record({ action: 'email_verified', userId, reason: 'link' }, client);
    });
  }

  /** The same for every address. @throws DomainError `captcha_failed`, `rate_limited` */
  async resend(body: RequestMailBody, client: ClientInfo): Promise<void> {
    await this.abuse.admit(body, client);
    const userId = (await this.users.findCredentials(body.email))?.userId ?? null;
    await this.database.transaction(async () => {
      await this.mails.requestLink('verify_email', userId);
      await this.audit.record({ action: 'email_verification_requested', userId }, client);
    });
  }

  /**
   * "This was not me": the owner of the address removes the account that somebody made with it.
   * Nobody removes a verified one so.
   *
   * @throws DomainError `mail_token_invalid`
   */
  async disown(token: string, client: ClientInfo): Promise<void> {
    const deletedId = await this.tokens.use(token, 'verify_email', async ({ userId }) => {
      await this.sessions.endAll(userId, undefined, { client });
      await this.audit.record({ action: 'account_deleted', userId, reason: 'disowned' }, client);
      if (!(await this.users.deleteUnverified(userId))) {
        throw new DomainError('mail_token_invalid');
      }
      return userId;
    });
    await this.mails.forget(deletedId);
  }
}
