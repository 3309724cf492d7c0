import { Injectable } from '@nestjs/common';
import { Language, type NotificationType, notificationTypes } from '@rind/contracts';
import { renderMail } from '@rind/emails';
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { GLOBAL_PREFIX } from '../platform/http/global-prefix.js';
import { type Job, Jobs } from '../platform/jobs/jobs.js';
import { Mailer } from '../platform/mail/mailer.js';
import { UsersService } from '../users/users.service.js';
import { NotificationPreferencesService } from './notification-preferences.service.js';
import { UnsubscribeTokens } from './unsubscribe-tokens.js';
import { wordingOf } from './wording.js';

/** The language and the data make the text, so that a retry gives the same bytes. */
const MailPayload = z.object({
  mailId: z.uuid(),
  userId: z.uuid(),
  type: z.string(),
  language: Language,
  data: z.record(z.string(), z.unknown()),
});
type MailPayload = z.infer<typeof MailPayload>;

const mailJob: Job<MailPayload> = {
  name: 'mail_notification',
  payload: MailPayload,
  visible: ['mailId', 'userId', 'type', 'language'],
};

/** Notifications by mail, and how to stop them. */
@Injectable()
export class NotificationMails {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly jobs: Jobs,
    private readonly mailer: Mailer,
    private readonly preferences: NotificationPreferencesService,
    private readonly tokens: UnsubscribeTokens,
    private readonly users: UsersService,
  ) {
    jobs.handle(mailJob, (payload) => this.send(payload));
  }

  /** A job in the current transaction. */
  async add(payload: Omit<MailPayload, 'mailId'>): Promise<void> {
    await this.jobs.add(mailJob, { mailId: uuidv7(), ...payload });
  }

  /** As often as the link is used. @throws DomainError `mail_token_invalid` */
  async unsubscribe(token: string): Promise<void> {
    const subscription = this.tokens.verify(token);
    if (!subscription || !isKnown(subscription.type) || isSecurity(subscription.type)) {
      throw new DomainError('mail_token_invalid');
    }
    const { userId, type } = subscription;
    await this.preferences.stopMail(userId, type);
  }

  /** Asks first, since scanners open links. */
  unsubscribePage(token: string): string {
    return `${this.config.frontendUrl}/unsubscribe?token=${token}`;
  }

  /** Nothing when the user is gone, or does not want it any more. */
  private async send({ mailId: id, userId, type, language, data }: MailPayload): Promise<void> {
    // A type that this version does not have any more.
    if (!isKnown(type)) return;
    const user = await this.users.findRecipient(userId);
    if (!user || !(await this.preferences.get(userId))[type].mail) return;
    const { frontendUrl: link } = this.config;
    const way = isSecurity(type) ? null : this.waysOut(userId, type);
    const kind = 'notification';
    const rendered = await renderMail(kind, language, {
      ...wordingOf(type, language, data),
      link,
      ...(way && { unsubscribeLink: way.page }),
    });
    await this.mailer.send({
      id,
      kind,
      userId,
      to: user.email,
      language,
      link,
      ...rendered,
      ...(way && { unsubscribe: way.oneClick }),
    });
  }

  /** A page of the app, and what a mail program posts to (RFC 8058). */
  private waysOut(userId: string, type: NotificationType) {
    const token = this.tokens.mint({ userId, type });
    return {
      page: this.unsubscribePage(token),
      oneClick: `${this.config.oauth.publicUrl}/${GLOBAL_PREFIX}/notifications/unsubscribe?token=${token}`,
    };
  }
}

const isKnown = (type: string): type is NotificationType => Object.hasOwn(notificationTypes, type);

const isSecurity = (type: NotificationType) => notificationTypes[type].isSecurity;
