import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../platform/config/config.js';
import { RefreshTokens } from './refresh-tokens.js';
import { SigningKeys } from './signing-keys.js';

const tokensOf = (current: string, ...previous: string[]) =>
  new RefreshTokens(
    new SigningKeys(
      loadConfig({
        DATABASE_URL: 'postgres://unused',
        JWT_SECRET: current,
        JWT_SECRET_PREVIOUS: previous.join(','),
      }),
    ),
  );

const tokens = tokensOf('secret');

const newSession = (change: object = {}) => ({
  id: randomUUID(),
  salt: randomBytes(16),
  counter: 1,
  keyId: tokens.currentKeyId,
  ...change,
});

function isGenuine(token: string, salt: Uint8Array, by = tokens): boolean {
  const parsed = by.parse(token);
  return parsed !== null && by.isGenuine(parsed, salt);
}

describe('refresh tokens', () => {
  test.each([1, 2, 255, 65_536, 2 ** 31 - 2])(
    'counter %i comes back as it was minted',
    (counter) => {
      const session = newSession({ counter });
      const token = tokens.mint(session);
      expect(token).toMatch(/^[\w-]{70}$/);
      expect(tokens.parse(token)).toMatchObject({ sessionId: session.id, counter });
      expect(isGenuine(token, session.salt)).toBe(true);
    },
  );

  test('are derived: minted again, in another process, they are the same', () => {
    const session = newSession();
    expect(tokensOf('secret').mint(session)).toBe(tokens.mint(session));
  });

  test('differ by secret, salt, session and counter', () => {
    const session = newSession();
    const others = [
      tokensOf('other').mint(session),
      tokens.mint({ ...session, salt: randomBytes(16) }),
      tokens.mint({ ...session, id: randomUUID() }),
      tokens.mint({ ...session, counter: 2 }),
    ];
    expect(new Set([tokens.mint(session), ...others]).size).toBe(5);
  });

  test('do not survive the change of any bit', () => {
    const { salt, ...session } = newSession();
    const bytes = Buffer.from(tokens.mint({ ...session, salt }), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const tampered = Buffer.from(bytes);
      tampered.writeUInt8(tampered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(isGenuine(tampered.toString('base64url'), salt)).toBe(false);
    }
  });

  test('do not pass with the salt of another session', () => {
    expect(isGenuine(tokens.mint(newSession()), randomBytes(16))).toBe(false);
  });

  test('of a previous secret pass, and are minted again under it', () => {
    const old = tokensOf('old');
    const renewed = tokensOf('new', 'older', 'old');
    const session = newSession({ keyId: old.currentKeyId });
    const token = old.mint(session);
    expect(isGenuine(token, session.salt, renewed)).toBe(true);
    expect(renewed.mint(session)).toBe(token);
    expect(renewed.currentKeyId).not.toBe(old.currentKeyId);
  });

  test('of a forgotten secret do not pass; their session goes on under the current one', () => {
    const old = tokensOf('old');
    const renewed = tokensOf('new');
    const session = newSession({ keyId: old.currentKeyId });
    expect(isGenuine(old.mint(session), session.salt, renewed)).toBe(false);
    expect(isGenuine(renewed.mint(session), session.salt, renewed)).toBe(true);
  });

  test('have exactly one spelling', () => {
    const session = newSession();
    // A token whose base64 has letters that the two alphabets write differently.
    let token = tokens.mint(session);
    while (!/-/.test(token) || !/_/.test(token)) {
      session.counter += 1;
      token = tokens.mint(session);
    }
    expect(tokens.parse(token)).not.toBeNull();
    const bytes = Buffer.from(token, 'base64url');
    const spellings = [
      bytes.toString('base64'),
      token.replaceAll('-', '+'),
      token.replaceAll('_', '/'),
      `${token}=`,
      `${token}==`,
      `${token} `,
      ` ${token}`,
      `${token}\n`,
      `${token.slice(0, 35)}.${token.slice(35)}`,
      `${token}A`,
      token.slice(0, -1),
      bytes.toString('hex'),
    ];
    for (const spelling of spellings) expect(tokens.parse(spelling)).toBeNull();
    // Four bits of the last letter stand for nothing.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const siblings = alphabet.split('').map((letter) => token.slice(0, -1) + letter);
    expect(siblings.filter((sibling) => tokens.parse(sibling) !== null)).toHaveLength(4);
  });

  test.each([0, 1, 20, 51, 53, 104])('%i bytes are no token', (length) => {
    expect(tokens.parse(randomBytes(length).toString('base64url'))).toBeNull();
  });

  test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])('counter %i has no successor', (counter) => {
    expect(tokens.parse(tokens.mint(newSession({ counter })))).toBeNull();
  });
});
