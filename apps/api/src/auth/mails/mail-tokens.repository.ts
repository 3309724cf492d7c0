import { Injectable } from '@nestjs/common';
import { Database } from '../../platform/database/database.js';
import type { Prisma } from '../../platform/database/generated/client.js';

export type MailPurpose = 'verify_email' | 'reset_password' | 'change_email';

export interface MailTokenRow {
  readonly id: string;
  readonly userId: string;
  readonly purpose: MailPurpose;
  /** Where the mail went. */
  readonly email: string;
}

type NewMailToken = MailTokenRow & { readonly minutes: number };

@Injectable()
export class MailTokensRepository {
  constructor(private readonly database: Database) {}

  /**
   * Takes the place of the user's earlier one for the purpose. False when this one or a newer one was
   * there before, used ones included: a job that is repeated brings nothing back. Ids grow with time.
   */
  async replace({ id, userId, purpose, email, minutes }: NewMailToken): Promise<boolean> {
    const count = await this.prisma.$executeRaw`
      INSERT INTO mail_tokens AS t (id, user_id, purpose, email, expires_at)
      VALUES (${id}::uuid, ${userId}::uuid, ${purpose}, ${email}, now() + make_interval(mins => ${minutes}))
      ON CONFLICT (user_id, purpose) DO UPDATE
      SET id = excluded.id, email = excluded.email, expires_at = excluded.expires_at, used_at = NULL
      WHERE t.id < excluded.id`;
    return count > 0;
  }

  /** Null when it is unknown, used or expired, or belongs to an address that the account no longer has. */
  async findUsable(id: string): Promise<MailTokenRow | null> {
    const rows = await this.prisma.$queryRaw<MailTokenRow[]>`
      SELECT t.id, t.user_id AS "userId", t.purpose, t.email
      FROM mail_tokens t JOIN users u ON u.id = t.user_id
      WHERE t.id = ${id}::uuid AND t.used_at IS NULL AND t.expires_at > now() AND u.is_active
        AND (t.purpose = 'change_email' OR t.email = u.email)`;
    return rows[0] ?? null;
  }

  /** To the end of the transaction. Everything locks users before what belongs to them. */
  async lockUser(userId: string): Promise<void> {
    await this.prisma.$queryRaw`SELECT id FROM users WHERE id = ${userId}::uuid FOR NO KEY UPDATE`;
  }

  async markUsed(id: string): Promise<void> {
    await this.prisma.$executeRaw`UPDATE mail_tokens SET used_at = now() WHERE id = ${id}::uuid`;
  }

  /** Their rows stay, and keep older ones from coming after them. */
  async markAllUsed(userId: string): Promise<void> {
    await this.prisma.mailToken.updateMany({
      where: { userId, usedAt: null },
      data: { usedAt: new Date() },
    });
  }

  /** Later than a job that issues one is tried, so that doing it twice does not bring a used one back. */
  async deleteExpired(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      DELETE FROM mail_tokens WHERE id IN (
        SELECT id FROM mail_tokens WHERE expires_at < now() - interval '7 days'
        ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
