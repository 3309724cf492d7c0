import { afterEach, expect, jest, test } from '@jest/globals';
import { findOptionalPart } from './optional-parts.js';

const required = process.env['REQUIRE_ALL_PARTS'];

afterEach(() => {
  jest.restoreAllMocks();
  if (required === undefined) delete process.env['REQUIRE_ALL_PARTS'];
  else process.env['REQUIRE_ALL_PARTS'] = required;
});

test('a part that is there is used', () => {
  process.env['REQUIRE_ALL_PARTS'] = '1';
  expect(findOptionalPart('Node', process.execPath)).toBe(process.execPath);
});

test('a missing one is skipped, in one line', () => {
  delete process.env['REQUIRE_ALL_PARTS'];
  const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(findOptionalPart('Browser', '/nowhere/browser')).toBeNull();
  expect(write.mock.calls).toEqual([
    ['Browser is not installed at /nowhere/browser: its tests are skipped\n'],
  ]);
});

test('where all parts are required, a missing one is an error', () => {
  process.env['REQUIRE_ALL_PARTS'] = '1';
  expect(() => findOptionalPart('Browser', '/nowhere/browser')).toThrow(
    'Browser is not installed at /nowhere/browser',
  );
});
