import { expect, test } from '@jest/globals';
import { secondsSinceVersion } from './version-age.js';

const now = Date.UTC(2026, 0, 1);

test.each([
  [now - 1500, 1.5],
  [now, 0],
  // Clocks of machines differ.
  [now + 1000, 0],
  // A restore has moved this one.
  [now + 1001, null],
  [now + 86_400_000, null],
])('a version of %d is %p seconds old', (version, seconds) => {
  expect(secondsSinceVersion(version, now)).toBe(seconds);
});
