import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { describeError, ExpectedError } from './expected-error.ts';

const ROOT = dirname(import.meta.dirname);
const BIN = join(ROOT, 'node_modules', '.bin');
const API = join(ROOT, 'apps', 'api');
const GENERATED_CLIENT = join(API, 'src', 'platform', 'database', 'generated');
const SCHEMA = join(ROOT, 'prisma', 'schema.prisma');
const SCHEMA_STAMP = join(ROOT, 'node_modules', '.cache', 'rind', 'generated-client');

export const API_ENTRY = join(API, 'dist', 'main.js');

/** Generates Prisma's client, unless it is there already for this schema and this Prisma. */
export async function generateClient(signal?: AbortSignal): Promise<void> {
  const prismaManifest = join(ROOT, 'node_modules', 'prisma', 'package.json');
  const hash = createHash('sha256');
  for (const file of [SCHEMA, prismaManifest]) hash.update(await readFile(file));
  const wanted = hash.digest('hex');
  const found = await readFile(SCHEMA_STAMP, 'utf8').catch(() => '');
  if (found === wanted && existsSync(GENERATED_CLIENT)) return;

  await runTool('prisma', ['generate'], {
    signal,
    env: {
      // `generate` never starts the engine, but would download it if this named no executable.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      CHECKPOINT_DISABLE: '1',
    },
  });
  await mkdir(dirname(SCHEMA_STAMP), { recursive: true });
  await writeFile(SCHEMA_STAMP, wanted);
}

/** Compiles what changed of some workspaces and of those they refer to. */
export async function compile(workspaces: readonly string[], signal?: AbortSignal): Promise<void> {
  const projects = workspaces.map((workspace) => join(ROOT, workspace));
  // The compiler trusts its notes and does not see that somebody deleted the output.
  const complete = projects.every((project) => existsSync(join(project, 'dist')));
  await runTool('tsc', ['-b', ...projects, ...(complete ? [] : ['--force'])], { signal });
}

export async function buildApi(signal?: AbortSignal): Promise<void> {
  await generateClient(signal);
  await compile(['apps/api'], signal);
}

interface ToolOptions {
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
}

/** Runs a program of node_modules; what it says is only shown when it fails. */
async function runTool(name: string, args: string[], { env, signal }: ToolOptions): Promise<void> {
  const child = spawn(join(BIN, name), args, {
    cwd: ROOT,
    env: { ...process.env, PATH: `${BIN}:${process.env['PATH'] ?? ''}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) throw new ExpectedError(`${name} ${args[0]} failed:\n${output.trim()}`);
}

if (import.meta.main) {
  try {
    await generateClient();
    const chosen = process.argv.slice(2);
    await compile(chosen.length > 0 ? chosen : ['apps/api', 'apps/bench/naive', 'packages/sdk']);
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  }
}
