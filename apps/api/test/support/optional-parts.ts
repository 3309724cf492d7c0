import { accessSync, constants } from 'node:fs';

/**
 * Path of a program that some tests need and that not every machine has; null when it is missing,
 * and then its tests are to be skipped. CI sets REQUIRE_ALL_PARTS=1: there it is an error.
 */
export function findOptionalPart(name: string, path: string): string | null {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch (error) {
    const text = `${name} is not installed at ${path}`;
    if (process.env['REQUIRE_ALL_PARTS'] === '1') throw new Error(text, { cause: error });
    process.stderr.write(`${text}: its tests are skipped\n`);
    return null;
  }
}
