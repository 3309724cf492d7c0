import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runHistories } from '../histories/runner.js';
import type { Tally } from '../histories/player.js';
import { World } from '../histories/world.js';
import { clientComplaints } from '../support/device.js';

/** RIND_HISTORIES_SEED and _PATH play a failure again, _COUNT and _STEPS say how much, _MINUTES how long. */
const setting = (name: string) => {
  const text = process.env[`RIND_HISTORIES_${name}`];
  return text === undefined ? undefined : Number(text);
};
const minutes = setting('MINUTES');
const count = setting('COUNT') ?? (minutes === undefined ? 200 : 50);
const steps = setting('STEPS') ?? 40;
const seed = setting('SEED') ?? randomInt(2 ** 31);
const path = process.env['RIND_HISTORIES_PATH'];

const PROGRESS_MS = minutes === undefined ? 30_000 : 10_000;

/** Beside Jest's own output, which comes only when the file has ended. */
const report = (line: string) => process.stderr.write(`${line}\n`);

describe('histories: real devices, two instances, a bad network', () => {
  let world: World;
  const startedMs = performance.now();
  let reportedMs = startedMs;

  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world.stop());

  const summary = (tally: Tally) =>
    `histories: ${Object.entries(tally)
      .map(([name, number]) => `${number} ${name}`)
      .join(', ')}, ${Math.round((performance.now() - startedMs) / 1000)} s, seed ${seed}`;

  function onHistory(tally: Tally): void {
    const nowMs = performance.now();
    if (nowMs - reportedMs < PROGRESS_MS) return;
    reportedMs = nowMs;
    report(summary(tally));
  }

  test(
    'end with equal replicas, nothing acknowledged lost, nothing deleted returned, nothing foreign seen',
    async () => {
      const tally = await runHistories(world, {
        histories: count,
        steps,
        minutes,
        seed,
        path,
        onHistory,
      });
      report(summary(tally));
      expect(tally.histories).toBeGreaterThan(0);
      expect(clientComplaints).toEqual([]);
    },
    // Shrinking a failure included.
    ((minutes ?? 10) + 3) * 60_000,
  );
});
