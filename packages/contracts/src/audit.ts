/** What an audit event tells of. Names are stable; new ones may come. */
export const auditActions = [
  'registered',
  'signed_in',
  'sign_in_refused',
  'session_ended',
  'password_changed',
  'password_reset',
  'email_verified',
  'email_changed',
  'factor_added',
  'factor_removed',
  'recovery_codes_renewed',
  'identity_linked',
  'identity_unlinked',
  'roles_changed',
  'user_deactivated',
  'user_reactivated',
  'account_exported',
  'account_deleted',
] as const;
export type AuditAction = (typeof auditActions)[number];
