import type { Language } from '@rind/contracts';
import type { MailKind } from './mail-kinds.js';
import type { MailProps } from './mails.js';

const app = 'https://app.example.com';
const link = (page: string): string => `${app}/${page}?token=EXAMPLE`;

/** Props of every kind, for its preview and its tests. */
export const examples = (language: Language): { readonly [Kind in MailKind]: MailProps<Kind> } => ({
  verify_email: { link: link('verify-email'), disownLink: link('disown') },
  reset_password: { link: link('reset-password') },
  change_email: { link: link('change-email') },
  address_in_use: { link: `${app}/` },
  email_changed: {},
  account_deleted: {},
  notification: {
    ...{
      en: {
        title: 'New sign-in on Pixel 9',
        body: 'Your account was used on a device that it did not know before.',
      },
      de: {
        title: 'Neue Anmeldung auf Pixel 9',
        body: 'Dein Konto wurde auf einem Gerät verwendet, das es noch nicht kannte.',
      },
    }[language],
    link: `${app}/notifications`,
    unsubscribeLink: `${app}/unsubscribe?token=EXAMPLE`,
  },
});
