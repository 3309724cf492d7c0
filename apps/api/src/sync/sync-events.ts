import { EventEmitter } from 'node:events';
import { Injectable } from '@nestjs/common';
import type { TableWrites } from './plan-push.js';

export interface SyncChange {
  readonly userId: string;
  /** The session that pushed it; null for the server's own writes. */
  readonly sessionId: string | null;
  /** The user's clock after it. */
  readonly timestamp: number;
  /** What was written; rows that a deletion took with it are not among it. */
  readonly writes: readonly TableWrites[];
}

/** Tells of changes to synced rows, after they were committed. */
@Injectable()
export class SyncEvents extends EventEmitter<{ changed: [SyncChange] }> {}
