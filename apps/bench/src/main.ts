import { writeFile } from 'node:fs/promises';
import { describeError, ExpectedError } from '../../../scripts/expected-error.ts';
import { prepareBench } from './bench.ts';
import { suites } from './cases/all.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { describeMachine } from './report/machine.ts';
import { toMarkdown, writeMarkdown } from './report/markdown.ts';
import { Progress } from './report/progress.ts';
import type { Report, Result } from './report/report.ts';
import { checkTargets } from './report/targets.ts';
import { FULL, SMOKE } from './scale.ts';
import { Stand } from './stand/stand.ts';
import { Teardown } from './stand/teardown.ts';

/** What a shell reports for a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) return 1;
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const teardown = new Teardown();
  const interruption = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => resolve(INTERRUPTED));
    }
  });
  const finished = run(options, teardown).then(() => 0);
  // Interrupted, it fails as soon as the servers are gone.
  finished.catch(() => undefined);
  try {
    return await Promise.race([finished, interruption]);
  } finally {
    await teardown.run();
  }
}

async function run(options: Options, teardown: Teardown): Promise<void> {
  const report = await measure(options, teardown);
  console.log(toMarkdown(report));
  if (options.json !== undefined) {
    const all = { ...report, targets: checkTargets(report) };
    await writeFile(options.json, JSON.stringify(all, null, 2));
  }
  if (options.markdown !== undefined) await writeMarkdown(options.markdown, report);
}

async function measure(options: Options, teardown: Teardown): Promise<Report> {
  const base = options.isSmoke ? SMOKE : FULL;
  const scale = { ...base, rounds: options.rounds ?? base.rounds };
  const cases = suites[options.suite](scale).filter(({ id }) => options.only?.test(id) ?? true);
  if (cases.length === 0) throw new ExpectedError('No case has an id that matches --only.');
  const progress = new Progress(cases, (line) => console.error(line));
  progress.say('Starting PostgreSQL');
  const stand = await Stand.setUp(options.databaseUrl, teardown);
  const bench = await prepareBench(options.suite, scale, stand, (message) => progress.say(message));
  const machine = await describeMachine(bench.database.admin);

  const results: Result[] = [];
  for (const measured of cases) {
    progress.begin(measured);
    const result = await measured.run(bench);
    const { id, title } = measured;
    results.push({ id, title, ...result });
    progress.end(measured, result);
  }
  return { suite: options.suite, machine, results, isSmoke: options.isSmoke };
}

try {
  process.exit(await main());
} catch (error) {
  console.error(describeError(error));
  process.exit(1);
}
