import { firstProjectOf, seededVersion } from '../accounts.ts';
import { type Client, type Operation, WrongAnswer } from '../contestants/contestant.ts';
import { repeatablePushStatement } from '../contestants/limit.ts';
import { counted } from '../format.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { timeEach, warmUp } from '../load/time.ts';
import { createBatch } from '../records.ts';
import type { Bench } from '../bench.ts';
import type { Scale } from '../scale.ts';
import type { Case, Comparison } from './case.ts';
import { countRows } from './count-rows.ts';

/** Above this, the naive backend takes seconds for each push. */
const NAIVE_LIMIT = 1_000;

/** Pushes of one client, one after the other. */
export function pushCases(scale: Scale): Case[] {
  return scale.pushes.map((records) => ({
    id: `push-${records}`,
    title: `Push of ${counted(records, 'record')}`,
    expectedSeconds: records > NAIVE_LIMIT ? 60 : 15,
    run: (bench) => comparePushes(bench, records),
  }));
}

async function comparePushes(bench: Bench, records: number): Promise<Comparison> {
  const { scale, contestants, accounts } = bench;
  const { admin } = bench.database;
  const account = accounts.writers[0]!;
  const projectId = await firstProjectOf(admin, account);
  const before = await countRows(admin, [account]);
  let pushed = 0;
  const next = (client: Client) => {
    pushed += records;
    const batch = createBatch(records, projectId);
    return client.preparePush({ cursor: seededVersion(account), batch });
  };

  const clients: Client[] = [];
  const samplers: Sampler[] = [];
  for (const contestant of contestants) {
    const client = await contestant.connect(account);
    clients.push(client);
    const isSlow = contestant.name === 'naive' && records > NAIVE_LIMIT;
    await warmUp(() => next(client), isSlow ? 0 : scale.warmUpMs);
    let operations: Operation[] = [];
    samplers.push({
      name: contestant.name,
      ...(isSlow && { rounds: 3 }),
      prepare: () => {
        const length = isSlow ? 1 : scale.repeats(records);
        operations = Array.from({ length }, () => next(client));
      },
      sample: () => timeEach(operations),
    });
  }
  if (bench.pgbench) {
    const other = accounts.writers[1]!;
    const batch = createBatch(records, projectId);
    const push = { cursor: seededVersion(other), batch };
    const statement = repeatablePushStatement(other.userId, push);
    samplers.push(bench.pgbench.latency([statement], scale.repeats(records)));
  }
  const measurements = await interleave(samplers, scale.rounds);
  const stored = (await countRows(admin, [account])) - before;
  if (stored !== pushed) throw new WrongAnswer(`${pushed} records were pushed, ${stored} stored`);
  for (const client of clients) await client.close();
  return { kind: 'comparison', unit: 'ms', measurements };
}
