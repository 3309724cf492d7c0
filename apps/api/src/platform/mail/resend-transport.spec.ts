import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { LogRecorder } from '../../../test/support/log-recorder.js';
import { refusal, ResendServer } from '../../../test/support/resend-server.js';
import type { MailFailure } from './mail-failure.js';
import type { Mail } from './mail-transport.js';
import { ResendTransport } from './resend-transport.js';

const API_KEY = 're_a_key_of_these_tests';
const HOUR_MS = 3_600_000;

let resend: ResendServer;
let transport: ResendTransport;
let log: LogRecorder;

const newTransport = (settings: { baseUrl?: string; timeoutMs?: number } = {}) =>
  new ResendTransport({ apiKey: API_KEY, baseUrl: resend.url, from: 'a@example.com', ...settings });

const newMail = (mail: Partial<Mail> = {}): Mail => ({
  id: uuidv7(),
  userId: null,
  kind: 'verify_email',
  to: 'ada@example.com',
  language: 'en',
  subject: 'Confirm',
  text: 'Confirm https://app.example.com/verify-email?token=TOKEN',
  html: '<p>Confirm</p>',
  link: 'https://app.example.com/verify-email?token=TOKEN',
  ...mail,
});

/** How it fails. */
const failureOf = (mail = newMail(), sender = transport): Promise<MailFailure> =>
  sender.send(mail).then(
    () => Promise.reject(new Error('It was sent')),
    (error: MailFailure) => error,
  );

beforeAll(async () => {
  log = new LogRecorder();
  resend = await ResendServer.start(API_KEY);
  transport = newTransport();
});
afterAll(() => resend.stop());
afterEach(() => {
  expect(log.text).not.toContain(API_KEY);
  expect(log.text).not.toContain('TOKEN');
});

describe('A mail', () => {
  test('goes out with all its parts, under the key of this server', async () => {
    const mail = newMail();
    await transport.send(mail);
    const { to, subject, text, html } = mail;
    expect(resend.mails.get(mail.id)).toEqual({ from: 'a@example.com', to, subject, text, html });
    expect(log.find('Mail sent').at(-1)).toMatchObject({ kind: mail.kind, mailId: mail.id });
  });

  test('arrives once, though the answer was lost and it is sent again', async () => {
    const mail = newMail({ to: 'once@example.com' });
    resend.meet('cut');
    expect(await failureOf(mail)).toMatchObject({ reason: 'unreachable', retry: 'later' });
    await transport.send(mail);
    expect(resend.mailsTo(mail.to)).toHaveLength(1);
  });

  test('can be unsubscribed from with one click, where it says how (RFC 8058)', async () => {
    const mail = newMail({ unsubscribe: 'https://api.example.com/unsubscribe?token=x' });
    await transport.send(mail);
    expect(resend.mails.get(mail.id)!.headers).toEqual({
      'List-Unsubscribe': '<https://api.example.com/unsubscribe?token=x>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    });
  });
});

describe('What is answered', () => {
  test.each([
    [400, 'validation_error', 'refused', 'never'],
    [403, 'validation_error', 'refused', 'never'],
    [404, 'not_found', 'refused', 'never'],
    [422, 'invalid_from_address', 'refused', 'never'],
    [451, 'security_error', 'refused', 'never'],
    [401, 'missing_api_key', 'key_refused', 'later'],
    [401, 'restricted_api_key', 'key_refused', 'later'],
    [403, 'invalid_api_key', 'key_refused', 'later'],
    [409, 'concurrent_idempotent_requests', 'still_sending', 'later'],
    [409, 'invalid_idempotent_request', 'sent_before_with_other_content', 'never'],
    [429, 'rate_limit_exceeded', 'rate_limited', 'later'],
    [429, 'daily_quota_exceeded', 'rate_limited', 'later'],
    [500, 'internal_server_error', 'server_error', 'later'],
    [503, 'application_error', 'server_error', 'later'],
  ])('%i %s is a failure: %s, to be tried again: %s', async (status, name, reason, retry) => {
    resend.meet(refusal(status, name));
    const failure = await failureOf();
    expect(failure).toMatchObject({ reason, retry });
    expect(failure.message).toBe(`Resend: ${status} ${name}: What ${name} means`);
  });

  test.each([
    ['a page of a proxy', { status: 502, body: '<html>' }],
    ['a page of a proxy that forbids', { status: 403, body: '<html>' }],
    ['nothing', { status: 500, body: '' }],
    ['null', { status: 500, body: null }],
    ['a text', { status: 500, body: '"text"' }],
    ['a list', { status: 422, body: [] }],
    ['other members', { status: 422, body: { statusCode: 'x', name: {}, message: 7 } }],
    ['success without an id', { status: 200, body: {} }],
    ['success that is null', { status: 200, body: null }],
  ])('%s is tried again', async (_, answer) => {
    resend.meet(answer);
    const failure = await failureOf();
    expect(failure).toMatchObject({ reason: 'server_error', retry: 'later' });
    expect(failure.message).not.toContain('undefined');
  });

  test('success that is no JSON is tried again', async () => {
    resend.meet({ status: 200, body: '<html>' });
    expect(await failureOf()).toMatchObject({ reason: 'unreachable', retry: 'later' });
  });

  test('a long message is cut', async () => {
    resend.meet({ status: 500, body: { statusCode: 500, name: 'x', message: 'm'.repeat(9999) } });
    expect((await failureOf()).message.length).toBeLessThan(400);
  });

  describe('with Retry-After', () => {
    const retryOf = async (header: string, status = 429) => {
      resend.meet(refusal(status, 'rate_limit_exceeded', { 'retry-after': header }));
      const { retry } = await failureOf();
      return retry instanceof Date ? retry.getTime() - Date.now() : retry;
    };

    test.each([429, 503])('in seconds is waited for, also after a %i', async (status) => {
      const ms = await retryOf('3600', status);
      expect(ms).toBeGreaterThan(HOUR_MS - 60_000);
      expect(ms).toBeLessThanOrEqual(HOUR_MS);
    });

    test('as a date is waited for', async () => {
      const ms = await retryOf(new Date(Date.now() + HOUR_MS).toUTCString());
      expect(ms).toBeGreaterThan(HOUR_MS - 60_000);
    });

    test.each(['99999999999', 'Fri, 31 Dec 9999 23:59:59 GMT'])(
      'is waited for a day at most: %s',
      async (header) => expect(await retryOf(header)).toBeLessThanOrEqual(24 * HOUR_MS),
    );

    test.each(['soon', '-', 'NaN'])('is ignored when it says nothing: %s', async (header) =>
      expect(await retryOf(header)).toBe('later'),
    );
  });
});

describe('A server', () => {
  test('that does not answer is waited for a bounded time', async () => {
    resend.meet('silence');
    const failure = await failureOf(newMail(), newTransport({ timeoutMs: 50 }));
    expect(failure).toMatchObject({ reason: 'timeout', retry: 'later' });
  });

  test('that refuses connections is tried again', async () => {
    const nobody = newTransport({ baseUrl: 'http://127.0.0.1:1' });
    expect(await failureOf(newMail(), nobody)).toMatchObject({
      reason: 'unreachable',
      retry: 'later',
    });
  });

  test('that knows the mail with other content is not asked again', async () => {
    const mail = newMail();
    await transport.send(mail);
    expect(await failureOf({ ...mail, subject: 'Another' })).toMatchObject({
      reason: 'sent_before_with_other_content',
      retry: 'never',
    });
  });
});
