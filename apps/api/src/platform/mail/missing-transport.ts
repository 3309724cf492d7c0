import { Logger } from '@nestjs/common';
import type { MailTransport } from './mail-transport.js';

const SENTENCE = 'No mail can be sent: production has no mail transport configured';

/** Stands in production where no transport is configured: says so at the start, and fails each mail's job. */
export class MissingTransport implements MailTransport {
  constructor() {
    new Logger(MissingTransport.name).error(SENTENCE);
  }

  async send(): Promise<void> {
    throw new Error(SENTENCE);
  }
}
