import { accountDeleted } from './mails/account-deleted.js';
import { addressInUse } from './mails/address-in-use.js';
import { changeEmail } from './mails/change-email.js';
import { emailChanged } from './mails/email-changed.js';
import { notification } from './mails/notification.js';
import { resetPassword } from './mails/reset-password.js';
import { verifyEmail } from './mails/verify-email.js';
import type { MailKind } from './mail-kinds.js';
import type { Template } from './template.js';

/** Every kind of mail. */
export const mails = {
  verify_email: verifyEmail,
  reset_password: resetPassword,
  change_email: changeEmail,
  address_in_use: addressInUse,
  email_changed: emailChanged,
  account_deleted: accountDeleted,
  notification,
} satisfies Record<MailKind, Template<never>>;

/** What a kind needs to be told. */
export type MailProps<Kind extends MailKind> =
  (typeof mails)[Kind] extends Template<infer Props> ? Props : never;
