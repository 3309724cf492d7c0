import { type Account, firstProjectOf, seededVersion } from '../accounts.ts';
import { type Client, WrongAnswer } from '../contestants/contestant.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { timeEach, warmUp } from '../load/time.ts';
import { createBatch } from '../records.ts';
import type { Scale } from '../scale.ts';
import type { Bench, Case, Comparison } from './case.ts';

/** Above this, the naive backend takes seconds for each push. */
const NAIVE_LIMIT = 1_000;

/** Pushes of one client, one after the other. */
export function pushCases(scale: Scale): Case[] {
  return scale.pushes.map((records) => ({
    id: `push-${records}`,
    title: `Push of ${records.toLocaleString('en')} record(s)`,
    expectedSeconds: records > NAIVE_LIMIT ? 60 : 15,
    run: (bench) => comparePushes(bench, records),
  }));
}

async function comparePushes(bench: Bench, records: number): Promise<Comparison> {
  const { admin, scale, contestants, accounts } = bench;
  const account = accounts.writers[0]!;
  const projectId = await firstProjectOf(admin, account);
  const before = await countRows(bench, account);
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
    samplers.push({
      name: contestant.name,
      ...(isSlow && { rounds: 3 }),
      sample: () => {
        const repeats = isSlow ? 1 : scale.repeats(records);
        return timeEach(Array.from({ length: repeats }, () => next(client)));
      },
    });
  }
  const measurements = await interleave(samplers, scale.rounds);
  for (const client of clients) await client.close();

  const stored = (await countRows(bench, account)) - before;
  if (stored !== pushed) throw new WrongAnswer(`${pushed} records were pushed, ${stored} stored`);
  return { kind: 'comparison', unit: 'ms', measurements };
}

async function countRows({ admin }: Bench, { userId }: Account): Promise<number> {
  const { rows } = await admin.query<{ count: string }>(
    `SELECT (SELECT count(*) FROM projects WHERE user_id = $1)
          + (SELECT count(*) FROM tasks WHERE user_id = $1) AS count`,
    [userId],
  );
  return Number(rows[0]!.count);
}
