import { Injectable, Logger } from '@nestjs/common';
import { Notices } from '../platform/database/notices.js';
import { Realtime } from '../platform/realtime/realtime.js';
import { SyncClocks } from './sync-clocks.js';

/**
 * What other instances announce while the listening connection is away is not heard here. So when it
 * is back, everybody with a socket here is told where their clock stands; who is there already does nothing.
 */
@Injectable()
export class MissedChanges {
  private readonly logger = new Logger(MissedChanges.name);

  constructor(
    notices: Notices,
    private readonly realtime: Realtime,
    private readonly clocks: SyncClocks,
  ) {
    notices.on('live', () => void this.announce());
  }

  private async announce(): Promise<void> {
    const userIds = this.realtime.userIds();
    if (userIds.length === 0) return;
    try {
      for (const { userId, version } of await this.clocks.read(userIds)) {
        this.realtime.emitHere(userId, 'sync:changed', { timestamp: version });
      }
    } catch (error) {
      this.logger.warn({ err: error }, 'What changed while nobody listened could not be announced');
    }
  }
}
