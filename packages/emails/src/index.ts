import type { Language } from '@rind/contracts';
import { Piscina } from 'piscina';
import { type MailKind, mailKinds } from './mail-kinds.js';
import type { MailProps } from './mails.js';
import type { RenderedMail } from './render.js';

export { mailKinds };
export type { MailKind, MailProps, RenderedMail };

interface Task {
  readonly kind: MailKind;
  readonly language: Language;
  /** Those of the kind. */
  readonly props: unknown;
}

const IDLE_TIMEOUT_MS = 60_000;

/**
 * React and its components take 50 MB, and half a second to load: in a thread of their own nobody
 * waits for that but the mail, and the memory is given back when no more mails are sent.
 */
const renderer = new Piscina<Task, RenderedMail>({
  filename: new URL('./render.js', import.meta.url).href,
  name: 'render',
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: IDLE_TIMEOUT_MS,
});

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
  return renderer.run({ kind, language, props });
}
