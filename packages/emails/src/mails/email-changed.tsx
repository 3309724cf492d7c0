import { Note } from '../parts.js';
import type { Template } from '../template.js';

/** Goes to the old address, from where nothing can be done any more. */
export const emailChanged: Template<object> = {
  en: () => ({
    subject: 'Your email address was changed',
    intro: 'Your account now uses another address; this one no longer belongs to it.',
    body: <Note>If it was not you, contact whoever runs this app.</Note>,
  }),
  de: () => ({
    subject: 'Deine E-Mail-Adresse wurde geändert',
    intro: 'Dein Konto nutzt jetzt eine andere Adresse; diese gehört nicht mehr dazu.',
    body: <Note>Wenn du es nicht warst, wende dich an den Betreiber der App.</Note>,
  }),
};
