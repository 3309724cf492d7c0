import { existsSync, readFileSync } from 'node:fs';

import { JEST_RESULT, POOLED_RESULT, SCRIPTS_RESULT } from './stages.ts';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

interface JestResult {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numRuntimeErrorTestSuites: number;
}

/** The runners' own counts, added up. */
export function readTotals(): Totals {
  const all = [readJestResult(JEST_RESULT), readJestResult(POOLED_RESULT), readTapResult()];
  return {
    passed: sum(all.map(({ passed }) => passed)),
    failed: sum(all.map(({ failed }) => failed)),
    skipped: sum(all.map(({ skipped }) => skipped)),
  };
}

export function formatTotals({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function readJestResult(file: string): Totals {
  if (!existsSync(file)) return { passed: 0, failed: 0, skipped: 0 };
  const result = JSON.parse(readFileSync(file, 'utf8')) as JestResult;
  return {
    passed: result.numPassedTests,
    // A file that could not even be loaded has no tests that failed.
    failed: result.numFailedTests + result.numRuntimeErrorTestSuites,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

/** The summary of Node's test runner: lines such as `# pass 4` at the end. */
function readTapResult(): Totals {
  const report = existsSync(SCRIPTS_RESULT) ? readFileSync(SCRIPTS_RESULT, 'utf8') : '';
  const count = (name: string): number =>
    Number(report.match(new RegExp(`^# ${name} (\\d+)$`, 'm'))?.[1] ?? 0);
  return {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
