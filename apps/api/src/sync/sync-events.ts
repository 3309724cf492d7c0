import { EventEmitter } from 'node:events';
import { Injectable } from '@nestjs/common';

export interface SyncChange {
  readonly userId: string;
  /** The session that pushed it; null for the server's own writes. */
  readonly sessionId: string | null;
  /** The user's clock after it. */
  readonly timestamp: number;
}

/** Tells of changes to synced rows, after they were committed. */
@Injectable()
export class SyncEvents extends EventEmitter<{ changed: [SyncChange] }> {}
