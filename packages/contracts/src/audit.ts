import { z } from 'zod';
import { openEnum } from './open-enum.js';
import { pageOf, pageQuery } from './page.js';

/** What an audit event tells of. Names are stable; new ones may come. */
export const auditActions = [
  'registered',
  'registration_repeated',
  'signed_in',
  'sign_in_refused',
  'reauthentication_refused',
  'session_ended',
  'password_changed',
  'password_reset',
  'password_reset_requested',
  'password_removed',
  'email_verified',
  'email_verification_requested',
  'email_change_requested',
  'email_changed',
  'factor_added',
  'factor_removed',
  'recovery_codes_renewed',
  'identity_linked',
  'identity_unlinked',
  'roles_changed',
  'user_deactivated',
  'user_reactivated',
  'job_retried',
  'account_exported',
  'account_deleted',
] as const;
export type AuditAction = (typeof auditActions)[number];

export const AuditEvent = z
  .object({
    id: z.uuid(),
    createdAt: z.iso.datetime(),
    action: openEnum(auditActions),
    subjectId: z.uuid().nullable().meta({
      description:
        'Stands for the user, also when the account was deleted; null where none is concerned',
    }),
    userId: z.uuid().nullable().meta({ description: 'Whom it happened to' }),
    actorId: z.uuid().nullable().meta({ description: 'Who did it, where that was somebody else' }),
    sessionId: z.uuid().nullable(),
    reason: z.string().nullable().meta({ description: 'A code that says why' }),
    detail: z.record(z.string(), z.unknown()).nullable(),
    ip: z.string().nullable(),
    userAgent: z.string().nullable(),
    requestId: z.string().nullable(),
  })
  .meta({ id: 'AuditEvent' });
export type AuditEvent = z.infer<typeof AuditEvent>;

export const ListAuditEventsQuery = z.object({
  userId: z.uuid().optional().meta({ description: 'Whom it happened to' }),
  action: z.enum(auditActions).optional(),
  from: z.iso.datetime().optional(),
  to: z.iso.datetime().optional().meta({ description: 'Events of this moment are left out' }),
  ...pageQuery,
});
export type ListAuditEventsQuery = z.infer<typeof ListAuditEventsQuery>;

export const AuditEventPage = pageOf(AuditEvent).meta({ id: 'AuditEventPage' });
export type AuditEventPage = z.infer<typeof AuditEventPage>;
