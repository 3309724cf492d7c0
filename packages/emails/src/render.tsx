import { render as renderReact, toPlainText } from '@react-email/components';
import type { Language } from '@rind/contracts';
import { Layout } from './layout.js';
import type { MailKind } from './mail-kinds.js';
import { type MailProps, mails } from './mails.js';
import type { Template } from './template.js';

export interface RenderedMail {
  /** One line. */
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

/** What the rendering thread does, once for each mail. */
export async function render<Kind extends MailKind>({
  kind,
  language,
  props,
}: {
  kind: Kind;
  language: Language;
  props: MailProps<Kind>;
}): Promise<RenderedMail> {
  const template = mails[kind] as Template<MailProps<Kind>>;
  const content = template[language](props);
  const html = await renderReact(<Layout language={language} content={content} />);
  const subject = content.subject.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  return { subject, html, text: `${toPlainText(html)}\n` };
}
