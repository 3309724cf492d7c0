import type { Bench } from '../bench.ts';
import { API_PREFIX } from '../contestants/http-contestant.ts';
import { figure } from '../format.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import { interleave, type Measurement } from '../load/interleave.ts';
import { prepareRequest } from '../load/request.ts';
import { operationsPerSecond, timeEach } from '../load/time.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

/** What it costs to know who asks: the profile of the caller against a route that asks nobody. */
export function httpCases({ clients, rounds, loadSeconds }: Scale): Case[] {
  return [
    {
      id: 'authenticated',
      title: 'An authenticated request against an open one',
      expectedSeconds: 2 * rounds * (loadSeconds + 1),
      run: (bench) => compareRoutes(bench, clients),
    },
  ];
}

async function compareRoutes(bench: Bench, clients: number): Promise<Table> {
  const { scale, api, accounts } = bench;
  const connections = await Promise.all(
    accounts.readers.map(() => HttpConnection.open(api.host, api.port)),
  );
  const get = (path: string, headers: Record<string, string>) =>
    encodeRequest({ method: 'GET', path: `${API_PREFIX}${path}`, headers });
  const open = connections.map((connection) => prepareRequest(connection, get('/health/live', {})));
  const authenticated = connections.map((connection, index) => {
    const authorization = `Bearer ${accounts.readers[index]!.token}`;
    return prepareRequest(connection, get('/users/me', { authorization }));
  });
  const sides = { open, authenticated };
  for (const operation of Object.values(sides).flat()) await operation.verify();
  for (const operations of Object.values(sides)) {
    const work = operations.map((operation) => () => operation);
    if (scale.warmUpMs > 0) await operationsPerSecond(work, scale.warmUpMs / 1000);
  }

  const rates = await interleave(
    Object.entries(sides).map(([name, operations]) => ({
      name,
      sample: async () => {
        const work = operations.map((operation) => () => operation);
        return [await operationsPerSecond(work, scale.loadSeconds)];
      },
    })),
    scale.rounds,
  );
  const times = await interleave(
    Object.entries(sides).map(([name, [operation]]) => ({
      name,
      sample: () => timeEach(Array.from({ length: scale.repeats(1) }, () => operation!)),
    })),
    scale.rounds,
  );
  for (const connection of connections) connection.close();
  const share = ratioOf(rates);
  return {
    kind: 'table',
    head: ['', 'GET /health/live', 'GET /users/me', 'ratio'],
    rows: [
      [
        `requests/s, ${clients} clients`,
        ...rates.map(({ median }) => figure(median)),
        figure(share),
      ],
      ['ms, one client', ...times.map(({ median }) => figure(median)), figure(ratioOf(times))],
    ],
    figures: { share },
  };
}

function ratioOf([open, authenticated]: readonly Measurement[]): number {
  return authenticated!.median / open!.median;
}
