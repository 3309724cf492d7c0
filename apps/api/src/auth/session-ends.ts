import { Injectable } from '@nestjs/common';
import { AuditService } from '../audit/audit.service.js';
import { Database } from '../platform/database/database.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { PrincipalCache } from './principal-cache.js';
import { SessionsRepository } from './sessions.repository.js';

export type SessionEndReason =
  | 'logout'
  | 'ended_by_user'
  /** Its device signed in again. */
  | 'replaced'
  /** The user had more than `SESSION_LIMIT`. */
  | 'limit'
  /** An old refresh token was presented. */
  | 'reuse'
  | 'credentials_changed'
  /** By an administrator, with the whole account. */
  | 'deactivated';

interface Ending {
  readonly userId: string;
  readonly reason: SessionEndReason;
  readonly client: ClientInfo | null;
}

/** What every end of a session has in common: it is audited, and its tokens are good for nothing at once. */
@Injectable()
export class SessionEnds {
  constructor(
    private readonly database: Database,
    private readonly sessions: SessionsRepository,
    private readonly audit: AuditService,
    private readonly principals: PrincipalCache,
  ) {}

  /** How many sessions `remove` deleted, by their ids. Joins a current transaction. */
  async end(ending: Ending, remove: () => Promise<string[]>): Promise<number> {
    return this.database.transaction(async () => {
      // Users before their sessions, as deleting a user locks them: else the two could deadlock.
      await this.sessions.lockUser(ending.userId);
      return this.endOfLocked(ending, remove);
    });
  }

  /** The same within a transaction that has locked the user. */
  async endOfLocked(
    { userId, reason, client }: Ending,
    remove: () => Promise<string[]>,
  ): Promise<number> {
    const ids = await remove();
    for (const sessionId of ids) {
      await this.audit.record({ action: 'session_ended', userId, sessionId, reason }, client);
    }
    if (ids.length > 0) this.database.afterCommit(() => this.principals.forgetUser(userId));
    return ids.length;
  }
}
