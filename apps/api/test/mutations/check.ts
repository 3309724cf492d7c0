// Proves that the suite fails on wrong designs: runs, for each mutation of the engine, the tests that must
// catch it, each of which must fail; and all of them on the engine as it is, where they must pass.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startEmbeddedPostgres } from '../../../../scripts/embedded-postgres.ts';
import { controls, type Mutation, mutations } from './mutations.ts';

const CONCURRENCY = 2;
const TIMEOUT_MS = 300_000;
const api = path.dirname(path.dirname(import.meta.dirname));

type Statuses = ReadonlyMap<string, string>;

interface JestReport {
  testResults: { assertionResults: { title: string; status: string }[] }[];
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    // pnpm passes the `--` on that separates its own options.
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    options: { only: { type: 'string', multiple: true } },
  });
  const chosen = mutations.filter(({ name }) => values.only?.includes(name) ?? true);
  if (chosen.length === 0) throw new Error('There is no such mutation');
  const directory = await mkdtemp(path.join(tmpdir(), 'rind-mutations-'));
  // One server for all runs: each would start its own.
  const server = await startEmbeddedPostgres({ dataDir: directory, temporary: true });
  try {
    const run = (name: string | null, tests: Mutation['caughtBy']) =>
      runTests({ name, tests, databaseUrl: server.url, directory });
    const jobs = [
      { title: 'none', verify: () => verifyNone(chosen, run) },
      ...chosen.map((mutation) => ({
        title: mutation.name,
        verify: () => verifyMutation(mutation, run),
      })),
    ];
    return await runJobs(jobs);
  } finally {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

type Run = (name: string | null, tests: Mutation['caughtBy']) => Promise<Statuses>;

/** What is wrong with the suite, if anything. */
type Verdict = string | null;

async function runJobs(
  jobs: ReadonlyArray<{ title: string; verify: () => Promise<Verdict> }>,
): Promise<boolean> {
  const waiting = [...jobs];
  let isGood = true;
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const verdict = await job.verify();
      const outcome = verdict === null ? `ok     ${job.title}` : `FAILED ${job.title}: ${verdict}`;
      process.stdout.write(`${outcome}\n`);
      isGood &&= verdict === null;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return isGood;
}

async function verifyNone(chosen: readonly Mutation[], run: Run): Promise<Verdict> {
  const tests: Record<string, string[]> = {};
  for (const { caughtBy } of chosen) {
    for (const [spec, titles] of Object.entries(caughtBy)) {
      tests[spec] = [...new Set([...(tests[spec] ?? []), ...titles])];
    }
  }
  return expectStatus(await run(null, tests), allTitles(tests), 'passed');
}

async function verifyMutation({ name, caughtBy }: Mutation, run: Run): Promise<Verdict> {
  const statuses = await run(name, caughtBy);
  return (
    expectStatus(statuses, controlsOf(caughtBy), 'passed') ??
    expectStatus(statuses, Object.values(caughtBy).flat(), 'failed')
  );
}

function expectStatus(statuses: Statuses, titles: readonly string[], expected: string): Verdict {
  for (const beginning of titles) {
    const found = [...statuses].filter(([title]) => title.startsWith(beginning));
    if (found.length === 0) return `there is no test "${beginning}…"`;
    for (const [title, status] of found) {
      if (status !== expected) return `"${title}" ${status}, and should have ${expected}`;
    }
  }
  return null;
}

const controlsOf = (tests: Mutation['caughtBy']) =>
  Object.keys(tests).map((spec) => {
    const control = controls[spec];
    if (control === undefined) throw new Error(`The spec ${spec} has no control`);
    return control;
  });

const allTitles = (tests: Mutation['caughtBy']) => [
  ...Object.values(tests).flat(),
  ...controlsOf(tests),
];

async function runTests({
  name,
  tests,
  databaseUrl,
  directory,
}: {
  name: string | null;
  tests: Mutation['caughtBy'];
  databaseUrl: string;
  directory: string;
}): Promise<Statuses> {
  const report = path.join(directory, `${name ?? 'none'}.json`);
  const specs = Object.keys(tests).map((spec) =>
    path.join(api, 'test', 'e2e', `${spec}.e2e-spec.ts`),
  );
  const config = name === null ? api : import.meta.dirname;
  const output = await runJest(
    [
      '--config',
      path.join(config, 'jest.config.js'),
      '--ci',
      '--runInBand',
      '--json',
      '--outputFile',
      report,
      '--testNamePattern',
      allTitles(tests).map(escape).join('|'),
      '--runTestsByPath',
      ...specs,
    ],
    { TEST_DATABASE_URL: databaseUrl, ...(name !== null && { RIND_MUTATION: name }) },
  );
  const text = await readFile(report, 'utf8').catch(() => {
    throw new Error(`Jest wrote no report:\n${output}`);
  });
  const { testResults } = JSON.parse(text) as JestReport;
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  if (results.length === 0) throw new Error(`Jest ran no test:\n${output}`);
  return new Map(results.map(({ title, status }) => [title, status]));
}

/** What Jest printed, whatever its result. */
function runJest(parameters: readonly string[], env: Record<string, string>): Promise<string> {
  const child = spawn(
    process.execPath,
    [path.join(api, 'node_modules', 'jest', 'bin', 'jest.js'), ...parameters],
    {
      env: {
        ...process.env,
        ...env,
        NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', () => resolve(output));
  });
}

const escape = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

process.exitCode = (await main()) ? 0 : 1;
