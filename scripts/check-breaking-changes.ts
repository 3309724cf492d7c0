// Fails when the OpenAPI document breaks clients of the last release: version 1 of the API is frozen.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { findBreakingChanges } from './openapi/breaking-changes.ts';
import { type Json, recordOf, textOf } from './openapi/schemas.ts';

const contracts = path.join(import.meta.dirname, '..', 'packages', 'contracts');
const read = async (name: string): Promise<Json> =>
  JSON.parse(await readFile(path.join(contracts, name), 'utf8')) as Json;

const released = await read('openapi.released.json');
const breaks = findBreakingChanges({ released, current: await read('openapi.json') });
const version = textOf(recordOf(released['info'])['version']);
if (breaks.length === 0) console.log(`Nothing breaks clients of ${version}.`);
else {
  console.error(`Clients of ${version} would break:\n\n  ${breaks.join('\n  ')}\n`);
  console.error('Add beside what there is, and keep that: docs/releasing.md.');
  process.exitCode = 1;
}
