import type { Notification } from '@rind/contracts';
import type { Notification as NotificationRow } from '../platform/database/generated/client.js';

export function toNotification(row: NotificationRow): Notification {
  const { id, type, title, body, readAt, createdAt } = row;
  const data = JSON.parse(row.data) as Record<string, unknown>;
  return { id, type, title, body, data, readAt: isoOf(readAt), createdAt: isoOf(createdAt)! };
}

/** Later years have more than four digits, which clients need not read. */
const MAX_TIME_MS = Date.UTC(9999, 11, 31);

/** Devices set when something was read, and one of them may have sent any number. */
function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(Math.min(Math.max(ms, 0), MAX_TIME_MS)).toISOString();
}
