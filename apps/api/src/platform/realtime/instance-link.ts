import { EventEmitter } from 'node:events';
import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../database/database.js';
import { causeOf } from '../database/database-errors.js';
import { Notices } from '../database/notices.js';

const CHANNEL = 'rind_realtime';
/** A notice holds less than 8000 bytes. */
const PART_LENGTH = 7_000;
/** Of parts that wait for the database. */
const MAX_WAITING = 10_000;

const NOTIFY = 'SELECT pg_notify($1, part) FROM unnest($2::text[]) AS part';

/**
 * Carries messages to all instances by NOTIFY, after the commit of what they tell of, and over the
 * connection that listens anyway: that one proves itself, and is made again when it is lost. What is
 * said while it is away is not heard; clients learn of it when they pull.
 */
@Injectable()
export class InstanceLink extends EventEmitter<{ message: [unknown] }> {
  private readonly logger = new Logger(InstanceLink.name);
  private waiting: string[] = [];
  private isSending = false;
  private arriving: { number: string | undefined; parts: string[] } = { number: '', parts: [] };
  private published = 0;

  constructor(
    private readonly database: Database,
    notices: Notices,
  ) {
    super();
    notices.listenTo(CHANNEL);
    notices.on('notice', (channel, payload) => {
      if (channel === CHANNEL) this.receive(payload);
    });
  }

  /** Messages keep their order. Those that come while one is on its way go together, in one statement. */
  publish(message: object): void {
    this.published += 1;
    this.waiting.push(...toParts(message, this.published));
    if (this.waiting.length > MAX_WAITING) {
      this.logger.warn('Messages to other instances were dropped: the database is too slow');
      this.waiting = [];
    }
    if (!this.isSending) void this.send();
  }

  private async send(): Promise<void> {
    this.isSending = true;
    while (this.waiting.length > 0) {
      const parts = this.waiting;
      this.waiting = [];
      try {
        await this.database.query({ text: NOTIFY, values: [CHANNEL, parts] });
      } catch (error) {
        this.logger.warn(causeOf(error), 'Messages to other instances were lost');
      }
    }
    this.isSending = false;
  }

  /** The parts of one message follow each other, since they are sent in one transaction. */
  private receive(payload: string): void {
    const [, number, index, count, text = ''] = /^(\d+) (\d+)\/(\d+) (.*)$/s.exec(payload) ?? [];
    if (index === '1') this.arriving = { number, parts: [] };
    if (number !== this.arriving.number) return;
    this.arriving.parts.push(text);
    if (index !== count || this.arriving.parts.length !== Number(count)) return;
    this.deliver(this.arriving.parts.join(''));
  }

  /** Whoever may write to the database may announce anything, and must not end the process. */
  private deliver(json: string): void {
    try {
      this.emit('message', JSON.parse(json));
    } catch (error) {
      this.logger.warn({ err: error }, 'A message of another instance could not be read');
    }
  }
}

/** Numbered, since PostgreSQL folds notices of one transaction that are alike. */
function toParts(message: object, number: number): string[] {
  const text = asciiOf(JSON.stringify(message));
  const count = Math.ceil(text.length / PART_LENGTH);
  return Array.from(
    { length: count },
    (_, index) =>
      `${number} ${index + 1}/${count} ${text.slice(index * PART_LENGTH, (index + 1) * PART_LENGTH)}`,
  );
}

/** One byte for each character, so that it can be cut anywhere. */
function asciiOf(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
