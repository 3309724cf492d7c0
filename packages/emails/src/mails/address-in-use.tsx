import { Action, Note, Paragraph } from '../parts.js';
import type { Template } from '../template.js';

export const addressInUse: Template<{ readonly link: string }> = {
  en: ({ link }) => ({
    subject: 'You already have an account',
    intro: 'Somebody wanted to use this address for an account, and you have one with it already.',
    body: (
      <>
        <Paragraph>
          If it was you, sign in. If you forgot your password, ask for a new one.
        </Paragraph>
        <Action href={link}>Open the app</Action>
        <Note>If it was not you, ignore this mail.</Note>
      </>
    ),
  }),
  de: ({ link }) => ({
    subject: 'Du hast bereits ein Konto',
    intro: 'Jemand wollte diese Adresse für ein Konto verwenden, und du hast damit bereits eines.',
    body: (
      <>
        <Paragraph>
          Wenn du es warst, melde dich an. Passwort vergessen? Fordere ein neues an.
        </Paragraph>
        <Action href={link}>App öffnen</Action>
        <Note>Wenn du es nicht warst, ignoriere diese Mail.</Note>
      </>
    ),
  }),
};
