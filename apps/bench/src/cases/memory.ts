import { writeFile } from 'node:fs/promises';
import { type Account, cursorBefore, firstProjectOf, seededVersion } from '../accounts.ts';
import type { Bench } from '../bench.ts';
import type { Client, Contestant } from '../contestants/contestant.ts';
import { apiContestant, naiveContestant } from '../contestants/http-contestant.ts';
import { counted } from '../format.ts';
import { createBatch } from '../records.ts';
import type { Scale } from '../scale.ts';
import { memoryOf } from '../stand/process-memory.ts';
import type { ServerProcess } from '../stand/server-process.ts';
import type { Case, Table } from './case.ts';

const PULLS_IN_A_ROW = 8;
/** To the process's clear_refs: forget the peak so far. */
const RESET_PEAK = '5';

interface Job {
  readonly title: string;
  readonly figure: string;
  readonly account: Account;
  readonly run: (client: Client) => Promise<void>;
}

/** Peaks of servers that have just started. */
export function memoryCase(scale: Scale): Case {
  return {
    id: 'memory',
    title: 'Peak memory of the process',
    expectedSeconds: 40,
    run: (bench) => measureMemory(bench, scale),
  };
}

async function measureMemory(bench: Bench, scale: Scale): Promise<Table> {
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const job of await jobs(bench, scale)) {
    const api = await peakOf(bench, 'api', job);
    const naive = await peakOf(bench, 'naive', job);
    if (api !== null) figures[job.figure] = api;
    rows.push([job.title, inMb(api), inMb(naive)]);
  }
  return { kind: 'table', head: ['peak memory', 'Rind', 'naive'], rows, figures };
}

async function jobs(
  { accounts, database }: Bench,
  { largePull, largePush }: Scale,
): Promise<Job[]> {
  const reader = accounts.ofSize.get(largePull)!;
  const writer = accounts.writers[0]!;
  const projectId = await firstProjectOf(database.admin, writer);
  const pull = async (client: Client, times: number) => {
    const request = { cursor: cursorBefore(reader, largePull), rows: largePull };
    const operation = client.preparePull(request);
    for (let count = 0; count < times; count += 1) await operation.verify();
  };
  const pullTitle = `first pull of ${counted(largePull, 'row')}`;
  return [
    {
      title: `one ${pullTitle}`,
      figure: 'pullMb',
      account: reader,
      run: (client) => pull(client, 1),
    },
    {
      title: `${PULLS_IN_A_ROW} of them, one after the other`,
      figure: 'pullsMb',
      account: reader,
      run: (client) => pull(client, PULLS_IN_A_ROW),
    },
    {
      title: `push of ${counted(largePush, 'record')}`,
      figure: 'pushMb',
      account: writer,
      run: (client) => {
        const batch = createBatch(largePush, projectId);
        return client.preparePush({ cursor: seededVersion(writer), batch }).verify();
      },
    },
  ];
}

async function peakOf(
  { stand, database }: Bench,
  name: 'api' | 'naive',
  { account, run }: Job,
): Promise<number | null> {
  const [server, contestant]: [ServerProcess, (server: ServerProcess) => Contestant] =
    name === 'api'
      ? [await stand.startApi(database), apiContestant]
      : [await stand.startNaive(database), naiveContestant];
  const client = await contestant(server).connect(account);
  // Not everywhere possible; the peak of the start is lower anyway.
  await writeFile(`/proc/${server.pid}/clear_refs`, RESET_PEAK).catch(() => undefined);
  await run(client);
  const bytes = await memoryOf(server, 'peak');
  await client.close();
  await server.stop();
  return bytes === null ? null : Math.round(bytes / 1e6);
}

const inMb = (value: number | null) => (value === null ? 'not available' : `${value} MB`);
