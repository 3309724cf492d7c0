import { cursorBefore, seededVersion } from '../accounts.ts';
import { pullStatements } from '../contestants/limit.ts';
import { counted } from '../format.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { timeEach, warmUp } from '../load/time.ts';
import type { Bench } from '../bench.ts';
import type { Scale } from '../scale.ts';
import type { Case, Comparison } from './case.ts';

/** Pulls of one client, one after the other. */
export function pullCases(scale: Scale): Case[] {
  return scale.pulls.map((rows) => ({
    id: `pull-${rows}`,
    title: rows === 0 ? 'Pull with nothing new' : `First pull of ${counted(rows, 'row')}`,
    expectedSeconds: rows >= 100_000 ? 20 : 8,
    run: (bench) => comparePulls(bench, rows),
  }));
}

async function comparePulls(bench: Bench, rows: number): Promise<Comparison> {
  const { scale, contestants, accounts } = bench;
  const account = rows === 0 ? accounts.readers[0]! : accounts.ofSize.get(rows)!;
  const cursor = rows === 0 ? seededVersion(account) : cursorBefore(account, rows);

  const clients = [];
  const samplers: Sampler[] = [];
  for (const contestant of contestants) {
    const client = await contestant.connect(account);
    clients.push(client);
    const operation = client.preparePull({ cursor, rows });
    await warmUp(() => operation, scale.warmUpMs);
    const repeated = Array.from({ length: scale.repeats(rows) }, () => operation);
    samplers.push({ name: contestant.name, sample: () => timeEach(repeated) });
  }
  if (bench.pgbench) {
    const { statements } = pullStatements(account.userId, { cursor, rows });
    samplers.push(bench.pgbench.latency(statements, scale.repeats(rows)));
  }
  const measurements = await interleave(samplers, scale.rounds);
  for (const client of clients) await client.close();
  return { kind: 'comparison', unit: 'ms', measurements };
}
