import { Injectable } from '@nestjs/common';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import type { Mail, MailTransport } from './mail-transport.js';
import { MissingTransport } from './missing-transport.js';
import { OutboxTransport } from './outbox-transport.js';

/** Sends mails. To be called by jobs: a transport may fail, and only a job tries again. */
@Injectable()
export class Mailer {
  private readonly transport: MailTransport;

  constructor(@InjectConfig() { environment, mail }: Config) {
    this.transport =
      environment === 'production'
        ? new MissingTransport()
        : new OutboxTransport(mail.outboxDirectory);
  }

  async send(mail: Mail): Promise<void> {
    await this.transport.send(mail);
  }
}
