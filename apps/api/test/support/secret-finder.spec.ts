import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { SecretFinder } from './secret-finder.js';

function finderOf(...secrets: string[]): SecretFinder {
  const finder = new SecretFinder();
  for (const [index, secret] of secrets.entries()) finder.add(`secret ${index}`, secret);
  return finder;
}

describe('SecretFinder', () => {
  const token = randomBytes(48).toString('base64url');
  const password = 'pässword "of" {Ada}';

  test.each([
    ['as it is', token, token],
    ['in JSON', password, JSON.stringify({ password })],
    ['in an address', password, `?password=${encodeURIComponent(password)}`],
    ['in hex, as a column of bytes prints it', password, Buffer.from(password).toString('hex')],
    ['in base64', password, Buffer.from(`${password}, and more`).toString('base64')],
    ['as the bytes that make it a token', token, Buffer.from(token, 'base64url').toString('hex')],
  ])('finds a secret %s', (_how, secret, text) => {
    expect(finderOf('another secret', secret).find(`before ${text} behind`)).toEqual([
      expect.stringMatching(/^secret 1 behind "/),
    ]);
  });

  test('finds it at both ends of a text, beside others, and names each once', () => {
    const other = randomBytes(20).toString('hex');
    const found = finderOf(token, other).find(`${token}${other}${token}`);
    expect(found).toEqual(['secret 0 behind ""', expect.stringMatching(/^secret 1 behind /)]);
  });

  test('finds nothing where one is cut off', () => {
    expect(finderOf(token).find(token.slice(0, -5))).toEqual([]);
  });

  test.each(['short', 'x'.repeat(20), randomUUID()])('looks for nothing like %j', (text) => {
    expect(finderOf(text).find(text)).toEqual([]);
  });
});
