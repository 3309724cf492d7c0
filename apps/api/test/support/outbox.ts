import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { dataDirectoryOf } from './test-database.js';

export interface SentMail {
  readonly id: string;
  readonly kind: string;
  readonly to: string;
  readonly subject: string;
  readonly language: string;
  readonly text: string;
  readonly html: string;
  /** Of the first link in it that has one. */
  readonly token: string;
}

/** What the API of a database sent. */
export class Outbox {
  private readonly directory: string;

  constructor(databaseUrl: string) {
    this.directory = path.join(dataDirectoryOf(databaseUrl), 'outbox');
  }

  /** In the order in which they were asked for. */
  async mailsTo(address: string): Promise<SentMail[]> {
    const mails = await this.mails();
    return mails.filter(({ to }) => to === address);
  }

  async mails(): Promise<SentMail[]> {
    const files = await readdir(this.directory).catch(() => []);
    const envelopes = files.filter((file) => file.endsWith('.json')).toSorted();
    return Promise.all(envelopes.map((file) => this.read(file)));
  }

  private async read(file: string): Promise<SentMail> {
    const text = (name: string) => readFile(path.join(this.directory, name), 'utf8');
    const mail = {
      ...(JSON.parse(await text(file)) as Omit<SentMail, 'text' | 'html' | 'token'>),
      text: await text(file.replace('.json', '.txt')),
      html: await text(file.replace('.json', '.html')),
    };
    return { ...mail, token: /[?]token=([\w-]+)/.exec(mail.text)?.[1] ?? '' };
  }
}
