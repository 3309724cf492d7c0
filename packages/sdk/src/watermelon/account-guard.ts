import type { Database } from '@nozbe/watermelondb';
import { SyncError } from './sync-error.js';

const key = 'rind_account';

/**
 * Keeps the user's id beside the local database, whose rows must never be pushed into another
 * account. A reset of the database forgets it.
 */
export class AccountGuard {
  constructor(private readonly database: Database) {}

  /** Remembers that the database was in this state when a request went out. */
  begin(): (account: string) => Promise<void> {
    const resets = this.database._resetCount;
    return (account) => this.#admit(account, resets);
  }

  /** Rejects with `account_changed` unless the database is empty of accounts or holds this one. */
  async #admit(account: string, resets: number): Promise<void> {
    const stored = await this.database.adapter.getLocal(key);
    if (stored === account) return;
    if (stored) {
      throw new SyncError(
        'account_changed',
        'The local database holds the data of another account: reset it, or sign in as its owner',
      );
    }
    // An answer for the previous user must not claim a database that was reset for the next one.
    if (this.database._resetCount !== resets) {
      throw new SyncError('client_error', 'The database was reset while it was synced');
    }
    await this.database.adapter.setLocal(key, account);
  }
}
