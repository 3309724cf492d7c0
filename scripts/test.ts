import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import {
  JEST_RESULT,
  POOLED_RESULT,
  RESULTS,
  SCRIPTS_RESULT,
  type Stage,
  stages,
} from './test/stages.ts';
import { formatTotals, readTotals } from './test/totals.ts';

const HELP = `Usage: npm test -- [--only <stage>[,<stage>]] [--help]

Runs all stages, whether or not an earlier one fails, and ends with an error if any did.

${stages.map(({ name, title }) => `  ${name.padEnd(12)} ${title}`).join('\n')}
`;

interface Outcome {
  stage: Stage;
  passed: boolean;
  seconds: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string', multiple: true }, help: { type: 'boolean' } },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const chosen = values.only?.flatMap((names) => names.split(',')) ?? [];
  const unknown = chosen.filter((name) => stages.every((stage) => stage.name !== name));
  if (unknown.length > 0) {
    console.error(`There is no stage "${unknown.join('", "')}".\n\n${HELP}`);
    return 1;
  }

  for (const file of [JEST_RESULT, POOLED_RESULT, SCRIPTS_RESULT]) rmSync(file, { force: true });
  const outcomes: Outcome[] = [];
  for (const stage of stages) {
    if (chosen.length === 0 || chosen.includes(stage.name)) outcomes.push(await run(stage));
  }
  return report(outcomes);
}

async function run(stage: Stage): Promise<Outcome> {
  console.log(`\n=== ${stage.title}`);
  const startedMs = performance.now();
  const child = spawn(process.execPath, stage.args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const interrupt = (signal: NodeJS.Signals): void => {
    child.once('close', () => process.exit(130));
    child.kill(signal);
  };
  const abandon = (): void => interrupt('SIGTERM');
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, interrupt);
  // The bootstrap was killed, so nobody waits for the result.
  process.once('disconnect', abandon);

  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });

  for (const signal of signals) process.off(signal, interrupt);
  process.off('disconnect', abandon);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const passed = code === 0;
  console.log(`=== ${stage.title}: ${passed ? 'passed' : 'FAILED'} in ${seconds} s`);
  return { stage, passed, seconds };
}

function report(outcomes: readonly Outcome[]): number {
  console.log('\nStages:');
  for (const { stage, passed, seconds } of outcomes) {
    console.log(`  ${passed ? 'passed' : 'FAILED'} ${`${seconds} s`.padStart(8)}  ${stage.title}`);
  }
  const failed = outcomes.filter(({ passed }) => !passed);
  if (failed.length > 0) {
    console.log(`\nOne of them again: npm test -- --only ${failed[0]?.stage.name}`);
  }
  const status = failed.length > 0 ? 1 : 0;
  if (!outcomes.some(({ stage }) => stage.countsTests)) return status;
  const totals = formatTotals(readTotals());
  // For CI, which prints it as its last line.
  writeFileSync(join(RESULTS, 'totals'), `${totals}\n`);
  console.log(`\n${totals}`);
  return status;
}

process.exit(await main());
