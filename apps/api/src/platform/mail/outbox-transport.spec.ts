import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LogRecorder } from '../../../test/support/log-recorder.js';
import type { Mail } from './mail-transport.js';
import { OutboxTransport } from './outbox-transport.js';

const ada = '01900000-0000-7000-8000-00000000000a';
const mail: Mail = {
  id: '01900000-0000-7000-8000-000000000001',
  userId: ada,
  kind: 'notification',
  to: 'ada@example.com',
  language: 'en',
  subject: 'Hello',
  text: 'A text',
  html: '<p>A page</p>',
  link: 'https://app.example.com/',
  unsubscribe: 'https://api.example.com/unsubscribe?token=x',
};

let parent: string;
let directory: string;
let outbox: OutboxTransport;

beforeEach(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'rind-outbox-'));
  directory = path.join(parent, 'outbox');
  outbox = new OutboxTransport(directory);
});
afterEach(() => rm(parent, { recursive: true }));

const read = (type: string) => readFile(path.join(directory, `${mail.id}.${type}`), 'utf8');

describe('The outbox', () => {
  test('has three files of each mail, and the log its link', async () => {
    const log = new LogRecorder();
    outbox = new OutboxTransport(directory);
    await outbox.send(mail);
    const { text, html, link, ...envelope } = mail;
    expect([await read('txt'), await read('html')]).toEqual([text, html]);
    expect(JSON.parse(await read('json'))).toEqual(envelope);
    expect(log.find('Mail written to outbox')).toMatchObject([{ kind: mail.kind, link }]);
  });

  test('takes a mail once', async () => {
    await outbox.send(mail);
    await outbox.send({ ...mail, text: 'Another text' });
    expect(await read('txt')).toBe(mail.text);
  });

  test('forgets the mails of a deleted user, and no others', async () => {
    await outbox.forget(ada);
    await outbox.send(mail);
    await outbox.send({ ...mail, id: `${mail.id}-to-somebody-else`, userId: 'somebody else' });
    await outbox.send({ ...mail, id: `${mail.id}-that-outlives-the-account`, userId: null });
    await Promise.all([outbox.forget(ada), outbox.forget(ada)]);
    const names = ['-that-outlives-the-account', '-to-somebody-else'];
    expect((await readdir(directory)).toSorted()).toEqual(
      names.flatMap((name) => ['html', 'json', 'txt'].map((type) => `${mail.id}${name}.${type}`)),
    );
  });
});
