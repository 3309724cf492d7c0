import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { clientComplaints } from '../support/device.js';
import type { Deployment } from './deployment.js';
import type { Tally } from './player.js';
import { runHistories } from './runner.js';
import { World } from './world.js';

/** RIND_HISTORIES_SEED and _PATH play a failure again, _COUNT and _STEPS say how much, _MINUTES how long. */
const setting = (name: string) => {
  const text = process.env[`RIND_HISTORIES_${name}`];
  return text === undefined ? undefined : Number(text);
};
const minutes = setting('MINUTES');
const steps = setting('STEPS') ?? 40;
const seed = setting('SEED') ?? randomInt(2 ** 31);
const path = process.env['RIND_HISTORIES_PATH'];

/** Neither a replay nor a part. */
const isWhole = path === undefined && setting('COUNT') === undefined;

const PROGRESS_MS = minutes === undefined ? 30_000 : 10_000;

/** Beside Jest's own output, which comes only when the file has ended. */
const report = (line: string) => process.stderr.write(`${line}\n`);

export interface Suite {
  title: string;
  deploy: () => Promise<Deployment>;
  /** Histories in a run that is not told how many. */
  count: number;
  /** In how many of a hundred rounds, in which all devices sync at once, the database goes away. */
  outagePercent: number;
  /** Whether a run in which the database never crashed proves too little. */
  mustCrash?: boolean;
}

/** Defines the tests of a file that plays histories against one kind of deployment. */
export function describeHistories({
  title,
  deploy,
  count,
  outagePercent,
  mustCrash = false,
}: Suite): void {
  describe(`histories: real devices, ${title}, a bad network`, () => {
    let world: World;
    const startedMs = performance.now();
    let reportedMs = startedMs;

    beforeAll(async () => {
      world = await World.start(deploy);
    }, 60_000);
    afterAll(() => world?.stop());

    const summary = (tally: Tally) =>
      `${title}: ${Object.entries(tally)
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
          histories: setting('COUNT') ?? (minutes === undefined ? count : 10),
          steps,
          outagePercent,
          minutes,
          seed,
          path,
          onHistory,
        });
        report(summary(tally));
        expect(tally.histories).toBeGreaterThan(0);
        if (mustCrash && isWhole) expect(tally.crashes).toBeGreaterThan(0);
        expect(clientComplaints).toEqual([]);
      },
      // Shrinking a failure included.
      ((minutes ?? 10) + 3) * 60_000,
    );
  });
}
