import type { Language } from '@rind/contracts';
import type { MailKind, MailProps } from './mails.js';
import type { RenderedMail } from './render.js';

export type { MailKind, MailProps, RenderedMail };

/**
 * A mail as HTML and as text. Nothing but its arguments goes into it: the same ones give the same bytes.
 *
 * @throws TypeError when a link is not an absolute http address
 */
export async function renderMail<Kind extends MailKind>(
  kind: Kind,
  language: Language,
  props: MailProps<Kind>,
): Promise<RenderedMail> {
  // React and what the components bring along take 50 MB: only a process that sends mails loads them.
  const { render } = await import('./render.js');
  return render(kind, language, props);
}
