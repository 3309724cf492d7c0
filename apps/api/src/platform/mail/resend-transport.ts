import { Logger } from '@nestjs/common';
import { type ErrorResponse, Resend } from 'resend';
import { MailFailure } from './mail-failure.js';
import type { Mail, MailTransport } from './mail-transport.js';

export interface ResendSettings {
  readonly apiKey: string;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  /** `Name <address>`, or the address alone. */
  readonly from: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
/** However long a server asks for patience. */
const MAX_PAUSE_MS = 24 * 3_600_000;
const MAX_MESSAGE_LENGTH = 300;

/** Of the settings, not of the mail: once they are mended, the mails that wait go out. */
const keyErrors: readonly string[] = ['missing_api_key', 'invalid_api_key', 'restricted_api_key'];

/** Sends mails through Resend. For 24 h it knows a mail by its id, and sends it once. */
export class ResendTransport implements MailTransport {
  private readonly logger = new Logger(ResendTransport.name);
  private readonly resend: Resend;

  constructor(private readonly settings: ResendSettings) {
    this.resend = new Resend(settings.apiKey, { baseUrl: settings.baseUrl });
  }

  async send({ id, kind, to, subject, html, text, unsubscribe }: Mail): Promise<void> {
    const signal = AbortSignal.timeout(this.settings.timeoutMs ?? TIMEOUT_MS);
    const headers = unsubscribe === undefined ? undefined : unsubscribeHeaders(unsubscribe);
    const {
      data,
      error,
      headers: answered,
    } = await this.resend.emails.send(
      { from: this.settings.from, to, subject, html, text, ...(headers && { headers }) },
      { idempotencyKey: id, signal },
    );
    // Whatever the types say, the bodies come from a network.
    if (typeof data?.id === 'string') {
      this.logger.log({ kind, mailId: id, resendId: data.id }, 'Mail sent');
      return;
    }
    if (signal.aborted) throw new MailFailure('timeout', 'Resend did not answer in time');
    throw failureOf(error, answered?.['retry-after']);
  }

  /** Keeps nothing here. */
  async forget(): Promise<void> {}
}

/** One click is enough (RFC 8058). */
function unsubscribeHeaders(address: string): Record<string, string> {
  return {
    'List-Unsubscribe': `<${address}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };
}

function failureOf(error: ErrorResponse | null, retryAfter: string | undefined): MailFailure {
  const { name, statusCode: status, message } = (error ?? {}) as Partial<ErrorResponse>;
  // A proxy's answer, or none, lacks some of it.
  const what = String(message ?? 'no reason given').slice(0, MAX_MESSAGE_LENGTH);
  const text = `Resend: ${[status, name].filter((part) => part !== undefined).join(' ')}: ${what}`;
  const later = retryTime(retryAfter);
  if (name === 'concurrent_idempotent_requests')
    return new MailFailure('still_sending', text, later);
  if (name === 'invalid_idempotent_request')
    return new MailFailure('sent_before_with_other_content', text, 'never');
  if (keyErrors.includes(String(name))) return new MailFailure('key_refused', text, later);
  if (status === null) return new MailFailure('unreachable', text, later);
  if (status === 429) return new MailFailure('rate_limited', text, later);
  // Only in its own words does Resend refuse a mail for good: a proxy's page says nothing about it.
  const isRefused = Number(status) >= 400 && Number(status) < 500 && name !== 'application_error';
  return isRefused
    ? new MailFailure('refused', text, 'never')
    : new MailFailure('server_error', text, later);
}

/** Of a `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). */
function retryTime(header: string | undefined): Date | 'later' {
  if (header === undefined) return 'later';
  const nowMs = Date.now();
  const atMs = /^\d+$/.test(header) ? nowMs + Number(header) * 1000 : Date.parse(header);
  return Number.isNaN(atMs) ? 'later' : new Date(Math.min(atMs, nowMs + MAX_PAUSE_MS));
}
