import type { Language } from '@rind/contracts';
import type { MailKind } from '@rind/emails';

/** A mail that is ready to go. */
export interface Mail {
  /** Idempotency key: a mail that is sent twice under one id arrives once. */
  readonly id: string;
  /** With whose account it goes from the outbox; null where it outlives the account. */
  readonly userId: string | null;
  /** What it is about, for logs, metrics and tests. */
  readonly kind: MailKind;
  readonly to: string;
  readonly language: Language;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Where its button leads; null where it has none. */
  readonly link: string | null;
  /**
   * Address that stops mails of this kind when it is posted to (RFC 8058). Not for mails about the
   * security of an account, which nobody may miss.
   */
  readonly unsubscribe?: string;
}

/** The way that mails leave. What it throws makes the job try again. */
export interface MailTransport {
  send(mail: Mail): Promise<void>;
  /** Removes what is kept here of the mails of a deleted user. */
  forget(userId: string): Promise<void>;
}
