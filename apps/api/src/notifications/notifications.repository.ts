import { Injectable } from '@nestjs/common';
import type { Language } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import type { Statement } from '../platform/database/sql-transaction.js';

/** Who is to be told, and what they chose; null where they never did. */
export interface Addressee {
  readonly language: Language;
  readonly feed: boolean | null;
  readonly mail: boolean | null;
}

/**
 * `[user, type]`. A lock that only a deletion conflicts with, and others that want the user for
 * themselves: users come before clocks in every transaction, also in one that has locked neither.
 */
const HOLD: Statement = {
  name: 'notifications_hold_addressee',
  text: `SELECT u.language, p.feed, p.mail
FROM users u LEFT JOIN notification_preferences p ON p.user_id = u.id AND p.type = $2::text
WHERE u.id = $1::uuid FOR KEY SHARE OF u`,
};

@Injectable()
export class NotificationsRepository {
  constructor(private readonly database: Database) {}

  /** Null when the user is gone. Else they stay to the end of the transaction. */
  async holdAddressee(userId: string, type: string): Promise<Addressee | null> {
    const [row] = await this.database.run<Addressee>(HOLD, [userId, type]);
    return row ?? null;
  }
}
