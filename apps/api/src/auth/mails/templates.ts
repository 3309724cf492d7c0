import type { Language } from '@rind/contracts';

export type MailKind =
  | 'verify_email'
  | 'reset_password'
  | 'change_email'
  | 'address_in_use'
  | 'password_changed'
  | 'email_changed';

export interface MailLinks {
  /** Where the button leads. */
  readonly action: string | null;
  /** For who did not ask for the account. */
  readonly disown?: string;
}

interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

interface Wording {
  readonly subject: string;
  readonly paragraphs: readonly string[];
  readonly button?: string;
  /** What the last link is for. */
  readonly disown?: string;
}

/**
 * Nothing that a user typed stands in a mail: it may go to somebody who never asked for an account,
 * and a display name could carry a stranger's words there.
 */
const wordings: Readonly<Record<MailKind, Readonly<Record<Language, Wording>>>> = {
  verify_email: {
    en: {
      subject: 'Confirm your email address',
      paragraphs: ['Please confirm that this address is yours. The link works for 24 hours.'],
      button: 'Confirm address',
      disown: 'This was not you? Remove the account:',
    },
    de: {
      subject: 'Bestätige deine E-Mail-Adresse',
      paragraphs: ['Bitte bestätige, dass dir diese Adresse gehört. Der Link gilt 24 Stunden.'],
      button: 'Adresse bestätigen',
      disown: 'Das warst du nicht? Konto entfernen:',
    },
  },
  reset_password: {
    en: {
      subject: 'Reset your password',
      paragraphs: [
        'Somebody asked for a new password for your account. The link works for 30 minutes.',
        'If it was not you, ignore this mail: nothing changes.',
      ],
      button: 'Choose a new password',
    },
    de: {
      subject: 'Setze dein Passwort zurück',
      paragraphs: [
        'Jemand hat ein neues Passwort für dein Konto angefordert. Der Link gilt 30 Minuten.',
        'Wenn du es nicht warst, ignoriere diese Mail: Es ändert sich nichts.',
      ],
      button: 'Neues Passwort wählen',
    },
  },
  change_email: {
    en: {
      subject: 'Confirm your new email address',
      paragraphs: [
        'Please confirm that your account shall use this address. The link works for 24 hours.',
        'If you did not ask for it, ignore this mail: nothing changes.',
      ],
      button: 'Confirm new address',
    },
    de: {
      subject: 'Bestätige deine neue E-Mail-Adresse',
      paragraphs: [
        'Bitte bestätige, dass dein Konto diese Adresse nutzen soll. Der Link gilt 24 Stunden.',
        'Wenn du das nicht angefordert hast, ignoriere diese Mail: Es ändert sich nichts.',
      ],
      button: 'Neue Adresse bestätigen',
    },
  },
  address_in_use: {
    en: {
      subject: 'You already have an account',
      paragraphs: [
        'Somebody wanted to use this address for an account, and you have one with it already.',
        'If it was you, sign in. If you forgot your password, ask for a new one. Else ignore this mail.',
      ],
      button: 'Open the app',
    },
    de: {
      subject: 'Du hast bereits ein Konto',
      paragraphs: [
        'Jemand wollte diese Adresse für ein Konto verwenden, und du hast damit bereits eines.',
        'Wenn du es warst, melde dich an. Passwort vergessen? Fordere ein neues an. Sonst ignoriere diese Mail.',
      ],
      button: 'App öffnen',
    },
  },
  password_changed: {
    en: {
      subject: 'Your password was changed',
      paragraphs: ['The password of your account was changed. If it was not you, reset it now.'],
      button: 'Open the app',
    },
    de: {
      subject: 'Dein Passwort wurde geändert',
      paragraphs: [
        'Das Passwort deines Kontos wurde geändert. Wenn du es nicht warst, setze es jetzt zurück.',
      ],
      button: 'App öffnen',
    },
  },
  email_changed: {
    en: {
      subject: 'Your email address was changed',
      paragraphs: [
        'Your account now uses another address; this one no longer belongs to it.',
        'If it was not you, contact whoever runs this app.',
      ],
    },
    de: {
      subject: 'Deine E-Mail-Adresse wurde geändert',
      paragraphs: [
        'Dein Konto nutzt jetzt eine andere Adresse; diese gehört nicht mehr dazu.',
        'Wenn du es nicht warst, wende dich an den Betreiber der App.',
      ],
    },
  },
};

/** A mail as text and HTML: the same kind, language and links give the same bytes. */
export function renderMail(kind: MailKind, language: Language, links: MailLinks): RenderedMail {
  const { subject, paragraphs, button, disown } = wordings[kind][language];
  const text = [
    ...paragraphs,
    ...(links.action !== null && button !== undefined ? [`${button}:\n${links.action}`] : []),
    ...(links.disown !== undefined && disown !== undefined ? [`${disown}\n${links.disown}`] : []),
  ].join('\n\n');
  const body = [
    ...paragraphs.map((paragraph) => `<p>${escape(paragraph)}</p>`),
    ...(links.action !== null && button !== undefined ? [anchor(links.action, button)] : []),
    ...(links.disown !== undefined && disown !== undefined ? [anchor(links.disown, disown)] : []),
  ].join('\n');
  const html = `<!doctype html>
<html lang="${language}">
<head><meta charset="utf-8"><title>${escape(subject)}</title></head>
<body>
${body}
</body>
</html>
`;
  return { subject, text: `${text}\n`, html };
}

function anchor(url: string, label: string): string {
  return `<p><a href="${escape(url)}">${escape(label)}</a></p>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]!);
}
