import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.js';
import { isDatabaseUnavailable, reasonOf } from '../platform/database/database-errors.js';
import { Notices } from '../platform/database/notices.js';
import { Realtime } from '../platform/realtime/realtime.js';
import { PRINCIPAL_CHANNEL } from './principal-cache.js';
import { SessionsRepository } from './sessions.repository.js';

const RETRY_MS = 1_000;

/**
 * Ends the sockets of sessions that are over, on each instance. What PostgreSQL announces of a session
 * or user puts the sessions of the sockets here in doubt, and so does every loss of the connection that
 * announcements come on; then they are looked up, all of them at once.
 */
@Injectable()
export class SocketSessions implements OnModuleDestroy {
  private readonly logger = new Logger(SocketSessions.name);
  private readonly doubtful = new Set<string>();
  private isChecking = false;
  private isClosed = false;

  constructor(
    notices: Notices,
    private readonly sessions: SessionsRepository,
    private readonly realtime: Realtime,
    private readonly clock: Clock,
  ) {
    notices.listenTo(PRINCIPAL_CHANNEL);
    notices.on('notice', (channel, payload) => {
      if (channel === PRINCIPAL_CHANNEL) this.doubt(this.concernedBy(payload));
    });
    // The database may still be there, and what ends before the next connection is announced to nobody.
    notices.on('gap', () => this.doubt(realtime.sessionIds()));
    notices.on('live', () => this.doubt(realtime.sessionIds()));
  }

  /** All sockets are closed, and soon there is nobody to ask. */
  onModuleDestroy(): void {
    this.isClosed = true;
  }

  private concernedBy(payload: string): readonly string[] {
    const [kind, id = ''] = payload.split(':');
    if (kind === 'user') return this.realtime.sessionIds(id);
    return this.realtime.hasSession(id) ? [id] : [];
  }

  private doubt(sessionIds: readonly string[]): void {
    for (const id of sessionIds) this.doubtful.add(id);
    if (!this.isChecking && !this.isClosed) void this.check();
  }

  private async check(): Promise<void> {
    this.isChecking = true;
    while (this.doubtful.size > 0) {
      const ids = [...this.doubtful];
      this.doubtful.clear();
      try {
        const active = new Set(await this.sessions.findActive(ids));
        this.realtime.endSessions(ids.filter((id) => !active.has(id)));
      } catch (error) {
        if (this.isClosed) break;
        // Of an outage the listening connection tells, once.
        if (isDatabaseUnavailable(error)) this.logger.verbose(`Asking again: ${reasonOf(error)}`);
        else this.logger.warn({ err: error }, 'The sessions of sockets could not be looked up');
        this.clock.setTimeout(() => this.doubt(ids), RETRY_MS);
        break;
      }
    }
    this.isChecking = false;
  }
}
