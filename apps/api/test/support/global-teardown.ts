import { rmSync } from 'node:fs';
import { expectEachProblemAnswered } from './answered-problems.ts';
// For the declaration of the global alone.
import type {} from './global-setup.ts';
import { ANSWERS_VARIABLE } from './test-database.ts';

interface JestRun {
  /** Names of files: the rest of the tests is left out. */
  readonly nonFlagArgs: readonly string[];
  readonly testNamePattern?: string;
  readonly onlyChanged: boolean;
  readonly shard?: unknown;
}

export default async function globalTeardown(run: JestRun): Promise<void> {
  await globalThis.stopTestServer?.();
  const answers = process.env[ANSWERS_VARIABLE];
  if (answers === undefined) return;
  try {
    if (isWhole(run)) expectEachProblemAnswered(answers);
  } finally {
    rmSync(answers);
  }
}

const isWhole = ({ nonFlagArgs, testNamePattern, onlyChanged, shard }: JestRun) =>
  nonFlagArgs.length === 0 && !testNamePattern && !onlyChanged && !shard;
