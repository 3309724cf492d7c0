import type pg from 'pg';
import {
  type Account,
  type Accounts,
  createAccounts,
  cursorBefore,
  insertRows,
  vacuum,
} from '../accounts.ts';
import type { Bench } from '../bench.ts';
import type { Client, Operation } from '../contestants/contestant.ts';
import { apiContestant } from '../contestants/http-contestant.ts';
import { counted, figure, times } from '../format.ts';
import { interleave, type Measurement } from '../load/interleave.ts';
import { timeEach, warmUp } from '../load/time.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

const SMALL_PULLS = [0, 10];
const OTHER_ACCOUNTS = 100;

/**
 * Incremental pulls from a database with much in it that does not concern them, against the same
 * from one without. Two databases, two processes: so both can be asked in turns.
 */
export function crowdCase({ crowd: { foreignRows, tombstones } }: Scale): Case {
  return {
    id: 'crowd',
    title: `Incremental pulls with ${counted(foreignRows, 'foreign row')} and ${counted(tombstones, 'own tombstone')}`,
    expectedSeconds: foreignRows > 100_000 ? 90 : 10,
    run: measureCrowd,
  };
}

async function measureCrowd(bench: Bench): Promise<Table> {
  const { scale, stand } = bench;
  const sides = [];
  for (const isCrowded of [false, true]) {
    const database = await stand.createDatabase();
    const api = await stand.startApi(database);
    const population = { ...scale, accounts: OTHER_ACCOUNTS, pulls: [], clients: 1 };
    const accounts = await createAccounts(database.admin, api, population);
    const account = accounts.readers[0]!;
    if (isCrowded) await addCrowd(database.admin, accounts, scale);
    sides.push({ api, account, client: await apiContestant(api).connect(account) });
  }
  const [quiet, crowded] = sides as [(typeof sides)[0], (typeof sides)[0]];

  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const count of SMALL_PULLS) {
    const [without, beside] = (await compare(
      [prepare(quiet, count), prepare(crowded, count)],
      scale,
    )) as [Measurement, Measurement];
    const ratio = beside.median / without.median;
    figures[`pull-${count}`] = ratio;
    rows.push([
      count === 0 ? 'nothing new' : `${count} new rows`,
      figure(without.median),
      figure(beside.median),
      times(ratio),
    ]);
  }
  for (const { client, api } of sides) {
    await client.close();
    await api.stop();
  }
  return { kind: 'table', head: ['pull, ms', 'without', 'with', 'ratio'], rows, figures };
}

async function addCrowd(admin: pg.Client, accounts: Accounts, { crowd }: Scale): Promise<void> {
  const each = Math.ceil(crowd.foreignRows / accounts.others.length);
  for (const { rows, ...other } of accounts.others) {
    await insertRows(admin, { rows, ...other }, { from: rows + 1, to: rows + each });
  }
  // Below the cursors that are asked with, and below all that lives.
  const reader = accounts.readers[0]!;
  await insertRows(admin, reader, { from: 1 - crowd.tombstones, to: 0, areDeleted: true });
  await vacuum(admin);
}

function prepare({ client, account }: { client: Client; account: Account }, rows: number) {
  return client.preparePull({ cursor: cursorBefore(account, rows), rows });
}

async function compare(operations: readonly Operation[], scale: Scale): Promise<Measurement[]> {
  const repeats = scale.repeats(0);
  const samplers = [];
  for (const [index, operation] of operations.entries()) {
    await warmUp(() => operation, scale.warmUpMs);
    const repeated = Array.from({ length: repeats }, () => operation);
    samplers.push({ name: String(index), sample: () => timeEach(repeated) });
  }
  return interleave(samplers, scale.rounds * 2);
}
