import { Action, Note, TextLink } from '../parts.js';
import type { Template } from '../template.js';

/** What a notification says, which stands in the reader's language already. */
export const notification: Template<{
  readonly title: string;
  readonly body: string;
  readonly link: string;
  /** None for what nobody may miss. */
  readonly unsubscribeLink?: string;
}> = {
  en: ({ title, body, link, unsubscribeLink }) => ({
    subject: title,
    intro: body,
    body: (
      <>
        <Action href={link}>Open the app</Action>
        {unsubscribeLink !== undefined && (
          <Note>
            You get this mail because you asked for notifications like this one.{' '}
            <TextLink href={unsubscribeLink}>Unsubscribe</TextLink>
          </Note>
        )}
      </>
    ),
  }),
  de: ({ title, body, link, unsubscribeLink }) => ({
    subject: title,
    intro: body,
    body: (
      <>
        <Action href={link}>App öffnen</Action>
        {unsubscribeLink !== undefined && (
          <Note>
            Du bekommst diese Mail, weil du Benachrichtigungen dieser Art per Mail erhältst.{' '}
            <TextLink href={unsubscribeLink}>Abbestellen</TextLink>
          </Note>
        )}
      </>
    ),
  }),
};
