import { JobFailure } from '../jobs/job-failure.js';

/** Why a mail was not sent: a fixed set, as metrics count by it. */
export type MailFailureReason = (typeof mailFailureReasons)[number];

export const mailFailureReasons = [
  'unreachable',
  'timeout',
  'server_error',
  'rate_limited',
  'key_refused',
  'still_sending',
  'sent_before_with_other_content',
  'refused',
] as const;

export class MailFailure extends JobFailure {
  override readonly name = 'MailFailure';

  constructor(
    readonly reason: MailFailureReason,
    message: string,
    retry: JobFailure['retry'] = 'later',
  ) {
    super(message, retry);
  }
}
