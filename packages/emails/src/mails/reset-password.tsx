import { Action, Note } from '../parts.js';
import type { Template } from '../template.js';

export const resetPassword: Template<{ readonly link: string }> = {
  en: ({ link }) => ({
    subject: 'Reset your password',
    intro: 'Somebody asked for a new password for your account. The link works for 30 minutes.',
    body: (
      <>
        <Action href={link}>Choose a new password</Action>
        <Note>If it was not you, ignore this mail: nothing changes.</Note>
      </>
    ),
  }),
  de: ({ link }) => ({
    subject: 'Setze dein Passwort zurück',
    intro: 'Jemand hat ein neues Passwort für dein Konto angefordert. Der Link gilt 30 Minuten.',
    body: (
      <>
        <Action href={link}>Neues Passwort wählen</Action>
        <Note>Wenn du es nicht warst, ignoriere diese Mail: Es ändert sich nichts.</Note>
      </>
    ),
  }),
};
