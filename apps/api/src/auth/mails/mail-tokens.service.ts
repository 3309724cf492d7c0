import { Injectable } from '@nestjs/common';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { MailTokens } from './mail-tokens.js';
import {
  type MailPurpose,
  type MailTokenRow,
  MailTokensRepository,
} from './mail-tokens.repository.js';

const LIFETIME_MINUTES: Readonly<Record<MailPurpose, number>> = {
  verify_email: 24 * 60,
  reset_password: 30,
  change_email: 24 * 60,
};

/** What the links in mails stand for: for one purpose, once, for a while, until a newer one is asked for. */
@Injectable()
export class MailTokensService {
  constructor(
    private readonly database: Database,
    private readonly rows: MailTokensRepository,
    private readonly tokens: MailTokens,
  ) {}

  /** Voids the earlier one for the purpose. False when this one or a newer one was issued before. Joins a current transaction. */
  async issue(row: MailTokenRow): Promise<boolean> {
    return this.rows.replace({ ...row, minutes: LIFETIME_MINUTES[row.purpose] });
  }

  /** Null when it may no longer be used. */
  async findWithToken(id: string): Promise<(MailTokenRow & { token: string }) | null> {
    const row = await this.rows.findUsable(id);
    return row && { ...row, token: this.tokens.mint(row.id) };
  }

  /** Whose token it is, before the work that using it takes. @throws DomainError `mail_token_invalid` */
  async check(token: string, purpose: MailPurpose): Promise<MailTokenRow> {
    const id = this.tokens.verify(token);
    const row = id === null ? null : await this.rows.findUsable(id);
    if (row?.purpose !== purpose) throw new DomainError('mail_token_invalid');
    return row;
  }

  /**
   * Uses the token up and does what it is for, both or neither. The user's row is held meanwhile, so
   * that of two uses at once the second finds a used token.
   *
   * @throws DomainError `mail_token_invalid`
   */
  async use<T>(
    token: string,
    purpose: MailPurpose,
    work: (row: MailTokenRow) => Promise<T>,
  ): Promise<T> {
    const { userId } = await this.check(token, purpose);
    return this.database.transaction(async () => {
      await this.rows.lockUser(userId);
      const row = await this.check(token, purpose);
      await this.rows.markUsed(row.id);
      return work(row);
    });
  }

  /** For every change of password or address. Joins a current transaction. */
  async voidAll(userId: string): Promise<void> {
    await this.rows.markAllUsed(userId);
  }
}
