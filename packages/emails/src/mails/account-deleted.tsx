import { Note } from '../parts.js';
import type { Template } from '../template.js';

/** The goodbye: the last mail that an account causes. */
export const accountDeleted: Template<object> = {
  en: () => ({
    subject: 'Your account was deleted',
    intro: 'Your account is gone, with everything that was stored in it. Goodbye, and thank you.',
    body: <Note>If it was not you, contact whoever runs this app.</Note>,
  }),
  de: () => ({
    subject: 'Dein Konto wurde gelöscht',
    intro: 'Dein Konto ist gelöscht, mit allem, was darin gespeichert war. Mach es gut, und danke.',
    body: <Note>Wenn du es nicht warst, wende dich an den Betreiber der App.</Note>,
  }),
};
