import { DisplayName } from '@rind/contracts';
import { describe, expect, test } from '@jest/globals';
import { displayNameOf } from './display-name.js';

describe('the name of a new account', () => {
  test.each([
    ['Ada Lovelace', 'Ada Lovelace'],
    ['  Ada\tLovelace\r\n', 'Ada Lovelace'],
    ['A'.repeat(101), 'A'.repeat(100)],
    [`${'A'.repeat(99)}🦊`, 'A'.repeat(99)],
    ['\uDC00', '\uFFFD'],
    ['\u0000', 'ada'],
    ['', 'ada'],
    [null, 'ada'],
  ])('%j becomes %j', (name, expected) => {
    const displayName = displayNameOf(name, 'ada@example.com');
    expect(displayName).toBe(expected);
    expect(DisplayName.parse(displayName)).toBe(displayName);
  });
});
