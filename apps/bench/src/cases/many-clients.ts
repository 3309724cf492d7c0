import { type Account, cursorBefore, firstProjectOf, seededVersion } from '../accounts.ts';
import { type Client, type Contestant, WrongAnswer } from '../contestants/contestant.ts';
import { pullStatements, repeatablePushStatement } from '../contestants/limit.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { operationsPerSecond, warmUp, type Work } from '../load/time.ts';
import { createBatch } from '../records.ts';
import type { Bench } from '../bench.ts';
import type { Scale } from '../scale.ts';
import type { Case, Comparison } from './case.ts';
import { countRows } from './count-rows.ts';

/** More pushes are prepared than a round before has taken, by this factor. */
const RESERVE = 1.5;

/** Many clients at once, each with a connection and an account of its own. */
export function manyClientsCases(scale: Scale): Case[] {
  const { clients, clientPulls, clientPush, loadSeconds, rounds } = scale;
  const expectedSeconds = 4 * rounds * (loadSeconds + 0.5);
  return [
    ...clientPulls.map((rows) => ({
      id: `clients-pull-${rows}`,
      title: `${clients} clients: pull with ${rows === 0 ? 'nothing new' : `${rows} new rows`}`,
      expectedSeconds,
      run: (bench: Bench) => comparePulls(bench, rows),
    })),
    {
      id: `clients-push-${clientPush}`,
      title: `${clients} clients: push of ${clientPush} records`,
      expectedSeconds: expectedSeconds * 1.5,
      run: comparePushes,
    },
  ];
}

async function comparePulls(bench: Bench, rows: number): Promise<Comparison> {
  const { scale, contestants, accounts, pgbench } = bench;
  const pullOf = (account: Account) => ({ cursor: cursorBefore(account, rows), rows });
  const opened: Client[] = [];
  const samplers: Sampler[] = [];
  for (const contestant of contestants) {
    const clients = await connectAll(contestant, accounts.readers);
    opened.push(...clients);
    const operations = clients.map((client, index) =>
      client.preparePull(pullOf(accounts.readers[index]!)),
    );
    for (const operation of operations) await operation.verify();
    const work = operations.map((operation) => () => operation);
    if (scale.warmUpMs > 0) await operationsPerSecond(work, scale.warmUpMs / 1000);
    samplers.push({
      name: contestant.name,
      sample: async () => [await operationsPerSecond(work, scale.loadSeconds)],
    });
  }
  if (pgbench) {
    const statements = accounts.readers.map(
      (account) => pullStatements(account.userId, pullOf(account)).statements,
    );
    samplers.push(pgbench.throughput(statements, scale.loadSeconds));
  }
  const measurements = await interleave(samplers, scale.rounds);
  for (const client of opened) await client.close();
  return { kind: 'comparison', unit: 'requests/s', measurements };
}

async function comparePushes(bench: Bench): Promise<Comparison> {
  const { scale, contestants, accounts, pgbench } = bench;
  const { admin } = bench.database;
  const projects = new Map<Account, string>();
  for (const account of accounts.writers) {
    projects.set(account, await firstProjectOf(admin, account));
  }
  const createPush = (account: Account) => ({
    cursor: seededVersion(account),
    batch: createBatch(scale.clientPush, projects.get(account)!),
  });

  const before = await countRows(admin, accounts.writers);
  let pushes = 0;
  const opened: Client[] = [];
  const samplers: Sampler[] = [];
  for (const contestant of contestants) {
    const clients = await connectAll(contestant, accounts.writers);
    opened.push(...clients);
    const next = (index: number) => {
      pushes += 1;
      return clients[index]!.preparePush(createPush(accounts.writers[index]!));
    };
    for (const index of clients.keys()) await warmUp(() => next(index), 0);

    const prepare = (perClient: number) =>
      clients.map((client, index): Work => {
        const account = accounts.writers[index]!;
        const operations = Array.from({ length: perClient }, () =>
          client.preparePush(createPush(account)),
        );
        return () => {
          const operation = operations.pop();
          if (operation) pushes += 1;
          return operation;
        };
      });
    const warmUpSeconds = Math.max(0.1, scale.warmUpMs / 1000);
    let perSecond = await operationsPerSecond(
      prepare(Math.ceil(300 * warmUpSeconds)),
      warmUpSeconds,
    );
    let work: Work[] = [];
    samplers.push({
      name: contestant.name,
      prepare: () => {
        const perClient = (perSecond * scale.loadSeconds * RESERVE) / clients.length;
        work = prepare(Math.ceil(perClient) + 1);
      },
      sample: async () => {
        perSecond = await operationsPerSecond(work, scale.loadSeconds);
        return [perSecond];
      },
    });
  }
  if (pgbench) {
    // Accounts of its own, so that what the others have pushed can be counted.
    const statements = [];
    for (const account of accounts.others.slice(0, scale.clients)) {
      projects.set(account, await firstProjectOf(admin, account));
      statements.push([repeatablePushStatement(account.userId, createPush(account))]);
    }
    samplers.push(pgbench.throughput(statements, scale.loadSeconds));
  }
  const measurements = await interleave(samplers, scale.rounds);
  const stored = (await countRows(admin, accounts.writers)) - before;
  const pushed = pushes * scale.clientPush;
  if (stored !== pushed) throw new WrongAnswer(`${pushed} records were pushed, ${stored} stored`);
  for (const client of opened) await client.close();
  return { kind: 'comparison', unit: 'requests/s', measurements };
}

function connectAll(contestant: Contestant, accounts: readonly Account[]): Promise<Client[]> {
  return Promise.all(accounts.map((account) => contestant.connect(account)));
}
