import { Action, Note } from '../parts.js';
import type { Template } from '../template.js';

export const changeEmail: Template<{ readonly link: string }> = {
  en: ({ link }) => ({
    subject: 'Confirm your new email address',
    intro: 'Please confirm that your account shall use this address. The link works for 24 hours.',
    body: (
      <>
        <Action href={link}>Confirm new address</Action>
        <Note>If you did not ask for it, ignore this mail: nothing changes.</Note>
      </>
    ),
  }),
  de: ({ link }) => ({
    subject: 'Bestätige deine neue E-Mail-Adresse',
    intro: 'Bitte bestätige, dass dein Konto diese Adresse nutzen soll. Der Link gilt 24 Stunden.',
    body: (
      <>
        <Action href={link}>Neue Adresse bestätigen</Action>
        <Note>
          Wenn du das nicht angefordert hast, ignoriere diese Mail: Es ändert sich nichts.
        </Note>
      </>
    ),
  }),
};
