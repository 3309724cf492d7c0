import { Injectable } from '@nestjs/common';
import { mailKinds } from '@rind/emails';
import type { Counter, Histogram } from 'prom-client';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { Metrics } from '../metrics/metrics.js';
import { MailFailure, mailFailureReasons } from './mail-failure.js';
import type { Mail, MailTransport } from './mail-transport.js';
import { OutboxTransport } from './outbox-transport.js';
import { ResendTransport } from './resend-transport.js';

/** Up to the time-out of a transport. */
const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Of a failure that no transport has told of. */
const FAULT = 'internal_error';

const reasons = [...mailFailureReasons, FAULT];

/** Sends mails. To be called by jobs: a transport may fail, and only a job tries again. */
@Injectable()
export class Mailer {
  private readonly transport: MailTransport;
  private readonly sent: Counter<'kind'>;
  private readonly failures: Counter<'kind' | 'reason'>;
  private readonly seconds: Histogram<'kind'>;

  constructor(@InjectConfig() { mail }: Config, metrics: Metrics) {
    this.transport = mail.resend
      ? new ResendTransport(mail.resend)
      : new OutboxTransport(mail.outboxDirectory);
    this.sent = metrics.counter({
      name: 'rind_mails_sent_total',
      help: 'Mails that Resend, or the outbox, has taken',
      labelNames: ['kind'],
      labelValues: mailKinds,
    });
    this.failures = metrics.counter({
      name: 'rind_mail_failures_total',
      help: 'Attempts to send a mail that failed, by reason; most are made again',
      labelNames: ['kind', 'reason'],
      labelSets: mailKinds.flatMap((kind) => reasons.map((reason) => ({ kind, reason }))),
    });
    this.seconds = metrics.histogram({
      name: 'rind_mail_send_seconds',
      help: 'Time until a mail was taken',
      labelNames: ['kind'],
      buckets: SECONDS,
    });
  }

  /** @throws MailFailure that says whether and when to try again */
  async send(mail: Mail): Promise<void> {
    const { kind } = mail;
    const stop = this.seconds.startTimer({ kind });
    try {
      await this.transport.send(mail);
    } catch (error) {
      const reason = error instanceof MailFailure ? error.reason : FAULT;
      this.failures.inc({ kind, reason });
      throw error;
    }
    stop();
    this.sent.inc({ kind });
  }

  /** For the deletion of a user, when that has committed. */
  async forget(userId: string): Promise<void> {
    await this.transport.forget(userId);
  }
}
