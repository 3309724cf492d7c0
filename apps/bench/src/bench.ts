import { type Accounts, createAccounts } from './accounts.ts';
import type { SuiteName } from './suite.ts';
import type { Contestant } from './contestants/contestant.ts';
import { apiContestant, naiveContestant } from './contestants/http-contestant.ts';
import { Limit } from './contestants/limit.ts';
import { Pgbench } from './contestants/pgbench.ts';
import type { Scale } from './scale.ts';
import type { BenchDatabase } from './stand/database.ts';
import type { ServerProcess } from './stand/server-process.ts';
import type { Stand } from './stand/stand.ts';

/** What every case finds ready. */
export interface Bench {
  readonly scale: Scale;
  readonly stand: Stand;
  readonly database: BenchDatabase;
  readonly api: ServerProcess;
  readonly accounts: Accounts;
  readonly contestants: readonly Contestant[];
  /** Checks the limit; null where it is not installed. */
  readonly pgbench: Pgbench | null;
}

/** Without contestants, and with few accounts, where it is not sync that is measured. */
export async function prepareBench(
  suite: SuiteName,
  scale: Scale,
  stand: Stand,
  onProgress: (message: string) => void,
): Promise<Bench> {
  const database = await stand.createDatabase();
  onProgress('Starting the API');
  const api = await stand.startApi(database);
  const pgbench = await Pgbench.find(database.url);
  const seeded = suite === 'sync' ? scale : { ...scale, pulls: [], clientPulls: [0] };
  onProgress(`Seeding ${scale.accounts} accounts`);
  const accounts = await createAccounts(database.admin, api, seeded);
  const contestants = suite === 'sync' ? await startContestants(stand, database, api) : [];
  return { scale, stand, database, api, accounts, contestants, pgbench };
}

async function startContestants(
  stand: Stand,
  database: BenchDatabase,
  api: ServerProcess,
): Promise<Contestant[]> {
  const naive = await stand.startNaive(database);
  return [await Limit.create(database), apiContestant(api), naiveContestant(naive)];
}
