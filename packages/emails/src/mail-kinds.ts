export type MailKind = (typeof mailKinds)[number];

/** In a file without templates, which only the thread that renders loads. */
export const mailKinds = [
  'verify_email',
  'reset_password',
  'change_email',
  'address_in_use',
  'email_changed',
  'account_deleted',
  'notification',
] as const;
