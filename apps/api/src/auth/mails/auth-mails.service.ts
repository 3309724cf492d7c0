import { Injectable } from '@nestjs/common';
import { Language } from '@rind/contracts';
import { type MailKind, type MailProps, renderMail } from '@rind/emails';
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { Database } from '../../platform/database/database.js';
import { type Job, Jobs } from '../../platform/jobs/jobs.js';
import { Mailer } from '../../platform/mail/mailer.js';
import { UsersService } from '../../users/users.service.js';
import type { MailPurpose } from './mail-tokens.repository.js';
import { MailTokensService } from './mail-tokens.service.js';

const Purpose = z.enum(['verify_email', 'reset_password', 'change_email']);

/** Jobs of an earlier version carry no `userId`. */
const sendLink: Job<{ tokenId: string; userId?: string | undefined }> = {
  name: 'mail_link',
  payload: z.object({ tokenId: z.uuid(), userId: z.uuid().optional() }),
  visible: ['tokenId', 'userId'],
};

/** `userId` is null for an address that nobody has: the request must cost the same then. */
const requestLink: Job<{ tokenId: string; userId: string | null; purpose: MailPurpose }> = {
  name: 'mail_link_requested',
  payload: z.object({ tokenId: z.uuid(), userId: z.uuid().nullable(), purpose: Purpose }),
  visible: ['tokenId', 'userId', 'purpose'],
};

/** To who has the address that somebody wanted to use. */
const tellOwner: Job<{ mailId: string; userId: string }> = {
  name: 'mail_address_in_use',
  payload: z.object({ mailId: z.uuid(), userId: z.uuid() }),
  visible: ['mailId', 'userId'],
};

interface OldAddress {
  readonly mailId: string;
  readonly to: string;
  readonly language: Language;
  /** Jobs of an earlier version carry none. */
  readonly userId?: string | undefined;
}

/** Carries the address, which is nowhere else any more. */
const sendToOldAddress: Job<OldAddress> = {
  name: 'mail_old_address',
  payload: z.object({
    mailId: z.uuid(),
    to: z.string(),
    language: Language,
    userId: z.uuid().optional(),
  }),
  visible: ['mailId', 'language', 'userId'],
  leavesNoTrace: true,
};

/** Carries the address, which is nowhere else any more. No `userId`: it outlives what is about the user. */
const sayGoodbye: Job<{ mailId: string; to: string; language: Language }> = {
  name: 'mail_goodbye',
  payload: z.object({ mailId: z.uuid(), to: z.string(), language: Language }),
  visible: ['mailId', 'language'],
  leavesNoTrace: true,
};

interface Envelope<Kind extends MailKind> {
  readonly id: string;
  readonly userId: string | null;
  readonly kind: Kind;
  readonly to: string;
  readonly language: Language;
}

/** The pages of the app that links lead to. */
const pages: Readonly<Record<MailPurpose, string>> = {
  verify_email: 'verify-email',
  reset_password: 'reset-password',
  change_email: 'change-email',
};

/** Mails about accounts. Each is a job, added in the transaction that causes it. */
@Injectable()
export class AuthMails {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly jobs: Jobs,
    private readonly mailer: Mailer,
    private readonly tokens: MailTokensService,
    private readonly users: UsersService,
  ) {
    jobs.handle(sendLink, ({ tokenId }) => this.mailLink(tokenId));
    jobs.handle(requestLink, (request) => this.answerRequest(request));
    jobs.handle(tellOwner, ({ mailId, userId }) => this.mailOwner(mailId, userId));
    jobs.handle(sendToOldAddress, ({ mailId: id, userId = null, ...envelope }) =>
      this.mail({ id, userId, kind: 'email_changed', ...envelope }, {}),
    );
    jobs.handle(sayGoodbye, ({ mailId: id, ...envelope }) =>
      this.mail({ id, userId: null, kind: 'account_deleted', ...envelope }, {}),
    );
  }

  /** Voids the link before it for the same purpose. */
  async sendLink(purpose: MailPurpose, userId: string, email: string): Promise<void> {
    await this.issueLink({ id: uuidv7(), userId, purpose, email });
  }

  /** For requests by address: all that depends on whether somebody has it is left to the job. */
  async requestLink(purpose: MailPurpose, userId: string | null): Promise<void> {
    await this.jobs.add(requestLink, { tokenId: uuidv7(), userId, purpose });
  }

  /** That somebody wanted to use the user's address for an account. */
  async tellOwner(userId: string): Promise<void> {
    await this.jobs.add(tellOwner, { mailId: uuidv7(), userId });
  }

  async sendToOldAddress(to: string, language: Language, userId: string): Promise<void> {
    await this.jobs.add(sendToOldAddress, { mailId: uuidv7(), to, language, userId });
  }

  /** In the transaction that deletes the account. */
  async sayGoodbye(to: string, language: Language): Promise<void> {
    await this.jobs.add(sayGoodbye, { mailId: uuidv7(), to, language });
  }

  /** What is kept of mails to a user whose deletion has committed. */
  async forget(userId: string): Promise<void> {
    await this.mailer.forget(userId);
  }

  private async issueLink(row: {
    id: string;
    userId: string;
    purpose: MailPurpose;
    email: string;
  }): Promise<void> {
    await this.database.transaction(async () => {
      if (await this.tokens.issue(row)) {
        await this.jobs.add(sendLink, { tokenId: row.id, userId: row.userId });
      }
    });
  }

  private async answerRequest({
    tokenId: id,
    userId,
    purpose,
  }: z.infer<typeof requestLink.payload>): Promise<void> {
    const user = userId === null ? null : await this.users.findRecipient(userId);
    if (!user || userId === null) return;
    if (purpose === 'verify_email' && user.isVerified) return;
    await this.issueLink({ id, userId, purpose, email: user.email });
  }

  /** Nothing when the link is void meanwhile: used, expired, or replaced by a newer one. */
  private async mailLink(tokenId: string): Promise<void> {
    const row = await this.tokens.findWithToken(tokenId);
    const user = row && (await this.users.findRecipient(row.userId));
    if (!row || !user) return;
    const { id, purpose: kind, email: to, token } = row;
    const owner = kind === 'change_email' ? await this.users.findCredentials(to) : null;
    if (owner) return this.mailOwner(id, owner.userId);
    await this.mail(
      { id, userId: row.userId, kind, to, language: user.language },
      { link: this.linkTo(pages[kind], token), disownLink: this.linkTo('disown', token) },
    );
  }

  private async mailOwner(id: string, userId: string): Promise<void> {
    const user = await this.users.findRecipient(userId);
    if (!user) return;
    const { email: to, language } = user;
    const envelope = { id, userId, kind: 'address_in_use', to, language } as const;
    await this.mail(envelope, { link: this.config.frontendUrl });
  }

  private async mail<Kind extends MailKind>(
    envelope: Envelope<Kind>,
    props: MailProps<Kind>,
  ): Promise<void> {
    const rendered = await renderMail(envelope.kind, envelope.language, props);
    const { link = null } = props as { link?: string };
    await this.mailer.send({ ...envelope, ...rendered, link });
  }

  private linkTo(page: string, token: string): string {
    return `${this.config.frontendUrl}/${page}?token=${token}`;
  }
}
