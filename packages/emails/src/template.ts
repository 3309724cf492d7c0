import type { Language } from '@rind/contracts';
import type { ReactNode } from 'react';

export interface MailContent {
  readonly subject: string;
  /** The first paragraph, which inboxes also show beside the subject. */
  readonly intro: string;
  /** What follows it, made of the parts in parts.tsx. */
  readonly body?: ReactNode;
}

/** One kind of mail, in every language. It depends on nothing but its props: a retry must give the same bytes. */
export type Template<Props> = Readonly<Record<Language, (props: Props) => MailContent>>;
