import fc from 'fast-check';
import { historiesOf, type History } from './commands.js';
import { emptyTally, Player, type Tally } from './player.js';
import type { World } from './world.js';

export interface RunOptions {
  histories: number;
  /** Steps of each. */
  steps: number;
  /** In how many of a hundred rounds, in which all devices sync at once, the database goes away. */
  outagePercent: number;
  /** Goes on with the next seeds until so much time is over. */
  minutes?: number | undefined;
  /** Plays the same histories again; with the path, just the one that failed. */
  seed: number;
  path?: string | undefined;
  onHistory?: (tally: Tally) => void;
}

/** Long enough to make a failing history short, and no reason to wait for CI. */
const SHRINKING_MS = 60_000;

/** @throws Error with the shortest history that failed, the seed and the path that play it again */
export async function runHistories(world: World, options: RunOptions): Promise<Tally> {
  const tally = emptyTally();
  const endMs = performance.now() + (options.minutes ?? 0) * 60_000;
  let { seed } = options;
  do {
    await runBatch(world, { ...options, seed }, tally);
    seed += 1;
  } while (performance.now() < endMs);
  return tally;
}

async function runBatch(
  world: World,
  { histories, steps, outagePercent, seed, path, onHistory }: RunOptions,
  tally: Tally,
): Promise<void> {
  let shrinkUntil = Number.POSITIVE_INFINITY;
  const property = fc.asyncProperty(historiesOf(steps, outagePercent), async (history) => {
    if (performance.now() > shrinkUntil) return;
    try {
      await Player.play(world, history, tally);
    } catch (error) {
      shrinkUntil = Math.min(shrinkUntil, performance.now() + SHRINKING_MS);
      throw error;
    }
    onHistory?.(tally);
  });
  const details = await fc.check(property, {
    seed,
    numRuns: histories,
    ...(path !== undefined && { path }),
  });
  if (details.failed) throw new Error(describeFailure(details), { cause: details.errorInstance });
}

function describeFailure({
  seed,
  counterexamplePath,
  counterexample,
  errorInstance,
  numShrinks,
}: fc.RunDetails<[History]>): string {
  const [history] = counterexample ?? [];
  const steps =
    history?.steps.map((step, index) => `  ${index + 1}. ${JSON.stringify(step)}`) ?? [];
  const reason = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return [
    `A history with ${history?.devices} devices failed, shrunk ${numShrinks} times to ${steps.length} steps:`,
    ...steps,
    reason,
    `Again: RIND_HISTORIES_SEED=${seed} RIND_HISTORIES_PATH=${counterexamplePath}`,
  ].join('\n');
}
