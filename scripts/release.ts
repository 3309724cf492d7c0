// Makes the tree that a release is: its version, its changelog, and the document that later ones must not break.
import { spawnSync } from 'node:child_process';
import { copyFile, glob, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { describeError, ExpectedError } from './expected-error.ts';
import { lastReleased, notesOf, releaseChangelog } from './release/changelog.ts';
import { assertNextVersion, withVersion } from './release/version.ts';

const HELP = `Usage: pnpm release VERSION
       pnpm release VERSION --notes

Prepares the release of a version such as 1.4.0: moves what CHANGELOG.md has under "Unreleased" below the version, sets
the version of all packages, and keeps the OpenAPI document as the released one. Nothing is committed or tagged:
.github/workflows/release.yml does that, see docs/releasing.md.

  --notes   prints what CHANGELOG.md says of a version that was released
`;

const root = path.join(import.meta.dirname, '..');
const inRoot = (name: string): string => path.join(root, name);
const CHANGELOG = inRoot('CHANGELOG.md');
const DOCUMENT = inRoot('packages/contracts/openapi.json');
const MANIFESTS = ['package.json', '{apps,packages}/*/package.json', 'prisma/package.json'];

async function rewrite(file: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const changed = change(text);
  if (changed !== text) await writeFile(file, changed);
}

/** Runs one of the package's scripts, whose output goes where ours does. */
function run(...args: string[]): void {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new ExpectedError(`node ${args.join(' ')} failed`);
}

async function release(version: string): Promise<void> {
  const changelog = await readFile(CHANGELOG, 'utf8');
  assertNextVersion(version, lastReleased(changelog));
  const day = new Date().toISOString().slice(0, 10);
  // Everything that may refuse comes before the first change.
  const released = releaseChangelog(changelog, version, day);
  run('--run', 'openapi:breaking');

  await writeFile(CHANGELOG, released);
  for await (const manifest of glob(MANIFESTS, { cwd: root })) {
    await rewrite(inRoot(manifest), (text) => withVersion(text, version));
  }
  // The document names the version of the API's package.
  run('--run', 'build');
  run('--run', 'openapi:export');
  await copyFile(DOCUMENT, inRoot('packages/contracts/openapi.released.json'));
  console.log(`This tree is ${version}.`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    // pnpm passes the `--` on that separates its own options.
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    allowPositionals: true,
    options: { notes: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  const [version, ...rest] = positionals;
  if (values.help) console.log(HELP);
  else if (version === undefined || rest.length > 0) throw new ExpectedError(HELP);
  else if (values.notes) console.log(notesOf(await readFile(CHANGELOG, 'utf8'), version));
  else await release(version);
}

try {
  await main();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
