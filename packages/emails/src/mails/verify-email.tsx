import { Action, Note, TextLink } from '../parts.js';
import type { Template } from '../template.js';

export const verifyEmail: Template<{
  readonly link: string;
  /** For who did not ask for the account. */
  readonly disownLink: string;
}> = {
  en: ({ link, disownLink }) => ({
    subject: 'Confirm your email address',
    intro: 'Please confirm that this address is yours. The link works for 24 hours.',
    body: (
      <>
        <Action href={link}>Confirm address</Action>
        <Note>
          This was not you? <TextLink href={disownLink}>Remove the account</TextLink>
        </Note>
      </>
    ),
  }),
  de: ({ link, disownLink }) => ({
    subject: 'Bestätige deine E-Mail-Adresse',
    intro: 'Bitte bestätige, dass dir diese Adresse gehört. Der Link gilt 24 Stunden.',
    body: (
      <>
        <Action href={link}>Adresse bestätigen</Action>
        <Note>
          Das warst du nicht? <TextLink href={disownLink}>Konto entfernen</TextLink>
        </Note>
      </>
    ),
  }),
};
