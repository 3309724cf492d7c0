import { describe, expect, test } from '@jest/globals';
import { hideSecrets, withoutSecrets } from './without-secrets.js';

const TOKEN = 'AZqXk3LVdn6gkzq1bXUu8k1JwZ0r5y7m3n9p2q4s6t8v0x1z3B5D7F9HaJcLeNgP';
const ID = '01900000-0000-7000-8000-000000000000';

describe('The words of an error', () => {
  test.each([
    ['550 5.1.1 <Ada.L+x@mail.example.com>: unknown', '550 5.1.1 <<address>>: unknown'],
    ['to=ada@localhost, bob@example.com', 'to=<address>, <address>'],
    [
      `GET https://x.example/a?token=${TOKEN}&b=1#c=2`,
      'GET https://x.example/a?token=<value>&b=<value>#c=<value>',
    ],
    [`Bearer ${TOKEN}`, 'Bearer <value>'],
    ['API key re_1aB2_c3D4 is not valid', 'API key <key> is not valid'],
    [`token ${TOKEN}`, 'token <value>'],
    [`no row ${ID}`, `no row ${ID}`],
    ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED 127.0.0.1:5432'],
  ])('%j become %j', (text, hidden) => {
    expect(hideSecrets(text)).toBe(hidden);
  });

  test('are cut where they do not end', () => {
    expect(hideSecrets('word '.repeat(100_000))).toHaveLength(501);
  });

  test('stay with where it was thrown', () => {
    const error = withoutSecrets(new TypeError('ada@example.com\nis unknown'));
    expect(error.message).toBe('<address>\nis unknown');
    expect(error.stack).toMatch(/^TypeError: <address>\nis unknown\n {4}at .*without-secrets/);
    expect(error.stack).not.toContain('ada@');
  });

  test.each([
    ['ada@example.com', '<address>'],
    [undefined, 'undefined'],
    [new Error(''), 'Error'],
  ])('are found in what is thrown, whatever it is (%p)', (thrown, message) => {
    expect(withoutSecrets(thrown).message).toBe(message);
  });
});
