import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../config/config.js';
import { SecretBox } from './secret-box.js';

const boxOf = (key: string, previous = '') =>
  new SecretBox(
    loadConfig({
      DATABASE_URL: 'postgres://localhost/rind',
      ENCRYPTION_KEY: key,
      ENCRYPTION_KEY_PREVIOUS: previous,
    }),
  );

const secret = Buffer.from('12345678901234567890');

describe('A sealed secret', () => {
  test('opens under its key and its name', () => {
    const sealed = boxOf('first').seal(secret, 'totp:ada');
    expect(Buffer.from(boxOf('first').open(sealed, 'totp:ada'))).toEqual(secret);
    expect(Buffer.from(sealed.bytes).includes(secret)).toBe(false);
  });

  test('looks different each time', () => {
    const box = boxOf('first');
    expect(box.seal(secret, 'totp:ada').bytes).not.toEqual(box.seal(secret, 'totp:ada').bytes);
  });

  test('does not open under the name of somebody else', () => {
    const sealed = boxOf('first').seal(secret, 'totp:ada');
    expect(() => boxOf('first').open(sealed, 'totp:bob')).toThrow();
  });

  test.each([0, 12, 31, 32, 47])('does not open once its byte %i was changed', (index) => {
    const { bytes, keyId } = boxOf('first').seal(secret, 'totp:ada');
    expect(bytes).toHaveLength(48);
    bytes.set([bytes.at(index)! ^ 1], index);
    expect(() => boxOf('first').open({ bytes, keyId }, 'totp:ada')).toThrow();
  });

  test('does not open with its tag cut off', () => {
    const { bytes, keyId } = boxOf('first').seal(secret, 'totp:ada');
    const cut = bytes.slice(0, -4);
    expect(() => boxOf('first').open({ bytes: cut, keyId }, 'totp:ada')).toThrow();
  });

  test('opens after a rotation while its key is among the previous ones, and is outdated', () => {
    const sealed = boxOf('first').seal(secret, 'totp:ada');
    const rotated = boxOf('second', 'first');
    expect(Buffer.from(rotated.open(sealed, 'totp:ada'))).toEqual(secret);
    expect(rotated.isOutdated(sealed)).toBe(true);
    expect(rotated.isOutdated(rotated.seal(secret, 'totp:ada'))).toBe(false);
  });

  test('names the key that is missing', () => {
    const sealed = boxOf('first').seal(secret, 'totp:ada');
    expect(() => boxOf('second').open(sealed, 'totp:ada')).toThrow(
      `encrypted under the key ${sealed.keyId}, which is neither ENCRYPTION_KEY`,
    );
  });
});
