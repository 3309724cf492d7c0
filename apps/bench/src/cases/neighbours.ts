import { cursorBefore } from '../accounts.ts';
import type { Bench } from '../bench.ts';
import type { Client, Operation } from '../contestants/contestant.ts';
import { counted, figure, times } from '../format.ts';
import { median, quantile } from '../load/statistics.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

const NEW_ROWS = 10;

/** Small pulls of one account, alone and while another account makes one large first pull after the other. */
export function neighboursCase({ rounds, loadSeconds, largePull }: Scale): Case {
  return {
    id: 'neighbours',
    title: `Small pulls beside first pulls of ${counted(largePull, 'row')}`,
    expectedSeconds: 4 * rounds * loadSeconds,
    run: measureNeighbours,
  };
}

async function measureNeighbours({ scale, accounts, contestants }: Bench): Promise<Table> {
  const reader = accounts.readers[0]!;
  const busy = accounts.ofSize.get(scale.largePull)!;
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const contestant of contestants.filter(({ name }) => name !== 'limit')) {
    const [small, large] = [await contestant.connect(reader), await contestant.connect(busy)];
    const smallPull = small.preparePull({ cursor: cursorBefore(reader, NEW_ROWS), rows: NEW_ROWS });
    const largePull = large.preparePull({ cursor: 0, rows: scale.largePull });
    await smallPull.verify();
    await largePull.verify();
    const alone: number[] = [];
    const beside: number[] = [];
    for (let round = 0; round < scale.rounds; round += 1) {
      alone.push(...(await timeFor(smallPull, scale.loadSeconds)));
      const timed = timeFor(smallPull, scale.loadSeconds);
      beside.push(...(await repeatUntil(timed, largePull)));
    }
    await closeAll([small, large]);
    const [p99Alone, p99Beside] = [quantile(alone, 0.99), quantile(beside, 0.99)];
    figures[contestant.name] = p99Beside / p99Alone;
    rows.push([
      contestant.name === 'api' ? 'Rind' : contestant.name,
      ...[median(alone), p99Alone, median(beside), p99Beside].map(figure),
      times(p99Beside / p99Alone),
    ]);
  }
  const head = ['a small pull, ms', 'alone p50', 'alone p99', 'beside p50', 'beside p99', 'p99'];
  return { kind: 'table', head, rows, figures };
}

async function timeFor(operation: Operation, seconds: number): Promise<number[]> {
  const endMs = performance.now() + seconds * 1000;
  const times: number[] = [];
  while (performance.now() < endMs) {
    const startedMs = performance.now();
    await operation.run();
    times.push(performance.now() - startedMs);
  }
  return times;
}

/** Repeats an operation while something else is under way, and answers what that found. */
async function repeatUntil<Result>(other: Promise<Result>, operation: Operation): Promise<Result> {
  let isOver = false;
  const repeating = async () => {
    while (!isOver) await operation.run();
  };
  const ending = other.finally(() => (isOver = true));
  const [result] = await Promise.all([ending, repeating()]);
  return result;
}

async function closeAll(clients: readonly Client[]): Promise<void> {
  for (const client of clients) await client.close();
}
