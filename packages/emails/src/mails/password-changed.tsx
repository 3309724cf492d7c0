import { Action, Note } from '../parts.js';
import type { Template } from '../template.js';

export const passwordChanged: Template<{ readonly link: string }> = {
  en: ({ link }) => ({
    subject: 'Your password was changed',
    intro: 'The password of your account was changed.',
    body: (
      <>
        <Action href={link}>Open the app</Action>
        <Note>If it was not you, reset it now.</Note>
      </>
    ),
  }),
  de: ({ link }) => ({
    subject: 'Dein Passwort wurde geändert',
    intro: 'Das Passwort deines Kontos wurde geändert.',
    body: (
      <>
        <Action href={link}>App öffnen</Action>
        <Note>Wenn du es nicht warst, setze es jetzt zurück.</Note>
      </>
    ),
  }),
};
