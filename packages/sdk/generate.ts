// Generates src/generated from the contracts' openapi.json. With --check nothing is written: it fails when the
// committed files are not what the document says.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@hey-api/openapi-ts';

const committed = path.join(import.meta.dirname, 'src/generated');
const document = path.join(import.meta.dirname, '../contracts/openapi.json');
/** A browser adds cookies by itself; a client that knew the scheme would send each token twice. */
const COOKIE_SCHEME = 'accessCookie';

async function readDocument(): Promise<Record<string, unknown>> {
  const json = await readFile(document, 'utf8');
  return JSON.parse(json, (key, value: unknown) =>
    key === 'security' && Array.isArray(value)
      ? value.filter((scheme: object) => !(COOKIE_SCHEME in scheme))
      : value,
  ) as Record<string, unknown>;
}

async function generate(outputPath: string): Promise<void> {
  await createClient({
    input: await readDocument(),
    logs: { level: 'silent', file: false },
    output: { path: outputPath, module: { extension: '.js' }, tsConfigPath: null },
    plugins: [
      '@hey-api/typescript',
      '@hey-api/client-fetch',
      {
        name: '@hey-api/sdk',
        // No client of its own: a process may talk to several servers, or as several users.
        client: false,
        operations: { strategy: 'single', containerName: 'RindApi' },
      },
    ],
  });
}

async function readTree(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return new Map(
    await Promise.all(
      files.map(async (file): Promise<[string, string]> => {
        const absolute = path.join(file.parentPath, file.name);
        return [path.relative(folder, absolute), await readFile(absolute, 'utf8')];
      }),
    ),
  );
}

/** The paths, relative to src/generated, that differ from a fresh run of the generator. */
async function findDrift(): Promise<string[]> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'rind-sdk-'));
  try {
    await generate(scratch);
    const [expected, actual] = await Promise.all([readTree(scratch), readTree(committed)]);
    const names = new Set([...expected.keys(), ...actual.keys()]);
    return [...names].filter((name) => expected.get(name) !== actual.get(name)).toSorted();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

if (process.argv.includes('--check')) {
  const drift = await findDrift();
  if (drift.length > 0) {
    console.error(
      `The SDK does not match openapi.json. Run "pnpm sdk:generate".\n  ${drift.join('\n  ')}`,
    );
    process.exitCode = 1;
  }
} else {
  await generate(committed);
}
