import { z } from 'zod';
import { AuditEvent } from './audit.js';
import { reauthentication } from './mfa.js';
import { Identity } from './oauth.js';
import { NotificationPreferences } from './notifications.js';
import { Preferences } from './preferences.js';
import { Session } from './sessions.js';
import { PullResult } from './sync/pull.js';
import { User } from './users.js';

export const DeleteAccountBody = z.object(reauthentication).meta({ id: 'DeleteAccountBody' });
export type DeleteAccountBody = z.infer<typeof DeleteAccountBody>;

/** Everything that is stored about a user, without what only proves who they are. */
export const AccountExport = z
  .object({
    exportedAt: z.iso.datetime(),
    user: User,
    preferences: Preferences,
    notificationPreferences: NotificationPreferences.shape.preferences,
    sessions: z.array(Session),
    identities: z.array(Identity),
    secondFactor: z
      .object({ activeSince: z.iso.datetime(), recoveryCodesLeft: z.int().nonnegative() })
      .nullable(),
    knownDevices: z.array(z.object({ lastSeenAt: z.iso.datetime() })).meta({
      description:
        'Devices that a sign-in on is not announced of; which ones is kept as digests only',
    }),
    auditEvents: z.array(AuditEvent),
    sync: PullResult.meta({
      description:
        'All live records of all synced tables, and the ids of deleted ones, as in a pull',
    }),
  })
  .meta({ id: 'AccountExport' });
export type AccountExport = z.infer<typeof AccountExport>;
