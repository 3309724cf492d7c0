import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../platform/config/config.js';
import { SigningKeys } from './signing-keys.js';

const keysOf = (current: string, ...previous: string[]) =>
  new SigningKeys(
    loadConfig({
      DATABASE_URL: 'postgres://unused',
      JWT_SECRET: current,
      JWT_SECRET_PREVIOUS: previous.join(','),
    }),
  );

describe('signing keys', () => {
  test('the id of a key is a fingerprint: the same in every process, another for every secret', () => {
    expect(keysOf('one').current.id).toBe(keysOf('one').current.id);
    expect(keysOf('one').current.id).not.toBe(keysOf('two').current.id);
    expect(keysOf('one').current.id).toMatch(/^[0-9a-f]{12}$/);
  });

  test('the current key and those before it are found by their id', () => {
    const keys = keysOf('new', 'old', 'older');
    for (const secret of ['new', 'old', 'older']) {
      const found = keys.find(keysOf(secret).current.id);
      expect(found?.key.export().toString()).toBe(secret);
    }
    expect(keys.find(keysOf('unknown').current.id)).toBeUndefined();
    expect(keys.find(undefined)).toBeUndefined();
    expect([...keys.all]).toHaveLength(3);
  });

  test('the current one comes first: most tokens are of it', () => {
    expect([...keysOf('new', 'old').all].map(({ key }) => key.export().toString())).toEqual([
      'new',
      'old',
    ]);
  });

  test('a secret that is current and previous is one key', () => {
    expect([...keysOf('same', 'same', 'old', 'old').all]).toHaveLength(2);
  });
});
