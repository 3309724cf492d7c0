import type { AuditAction, AuditEvent } from '@rind/contracts';
import type { AuditEvent as AuditEventRow } from '../platform/database/generated/client.js';

export function toAuditEvent({ createdAt, action, detail, ...row }: AuditEventRow): AuditEvent {
  return {
    ...row,
    createdAt: createdAt.toISOString(),
    action: action as AuditAction,
    detail: detail as AuditEvent['detail'],
  };
}
