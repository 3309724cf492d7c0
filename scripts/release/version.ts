import { ExpectedError } from '../expected-error.ts';

/** @throws ExpectedError unless the text is a version such as 1.4.0, above the one before */
export function assertNextVersion(text: string, before: string | null): void {
  const parts = partsOf(text);
  if (!parts) throw new ExpectedError(`${text} is no version such as 1.4.0`);
  const last = before === null ? null : partsOf(before);
  if (!last) return;
  const index = parts.findIndex((part, place) => part !== last[place]);
  if (index < 0 || parts[index]! < last[index]!) {
    throw new ExpectedError(`${text} is not above ${before}, which was released`);
  }
}

function partsOf(version: string): number[] | null {
  return /^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$/.test(version)
    ? version.split('.').map(Number)
    : null;
}

/** @param manifest text of a package.json, whose formatting stays */
export function withVersion(manifest: string, version: string): string {
  const changed = manifest.replace(/^( {2}"version": )"[^"]*"/m, `$1"${version}"`);
  if ((JSON.parse(changed) as { version?: string }).version !== version) {
    throw new ExpectedError('A package.json has no version to change');
  }
  return changed;
}
