import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.js';
import { Realtime } from '../platform/realtime/realtime.js';
import { type SyncChange, SyncEvents } from './sync-events.js';

const FOLDING_MS = 50;

/** Changes of a user that wait to be announced together. */
interface Folded {
  readonly timestamp: number;
  /** The session whose changes all of them are; null as soon as there are others. */
  readonly sessionId: string | null;
}

/**
 * Tells a user's other devices to pull. The first change is announced at once; while a device
 * reacts to that, further ones are folded into one announcement.
 */
@Injectable()
export class WakeUps {
  /** Users of whom something was announced a moment ago, with what happened since. */
  private readonly recent = new Map<string, Folded | null>();

  constructor(
    events: SyncEvents,
    private readonly realtime: Realtime,
    private readonly clock: Clock,
  ) {
    events.on('changed', (change) => this.take(change));
  }

  private take({ userId, sessionId, timestamp }: SyncChange): void {
    const waiting = this.recent.get(userId);
    if (waiting === undefined) this.announce(userId, { sessionId, timestamp });
    else {
      this.recent.set(userId, {
        timestamp: Math.max(timestamp, waiting?.timestamp ?? 0),
        sessionId: waiting && waiting.sessionId !== sessionId ? null : sessionId,
      });
    }
  }

  private announce(userId: string, { sessionId, timestamp }: Folded): void {
    this.recent.set(userId, null);
    this.clock.setTimeout(() => this.endOf(userId), FOLDING_MS);
    const receivers = { userId, exceptSessionId: sessionId };
    this.realtime.emit(receivers, 'sync:changed', { timestamp });
  }

  private endOf(userId: string): void {
    const folded = this.recent.get(userId);
    this.recent.delete(userId);
    if (folded) this.announce(userId, folded);
  }
}
