import type { Bench } from '../bench.ts';
import { API_PREFIX } from '../contestants/http-contestant.ts';
import { figure } from '../format.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import { interleave } from '../load/interleave.ts';
import { prepareRequest } from '../load/request.ts';
import { operationsPerSecond, timeEach } from '../load/time.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

/** The first is the measure of the others. */
const routes = [
  { name: 'open', path: '/probes/open', isAuthenticated: false },
  { name: 'authenticated', path: '/probes/authenticated', isAuthenticated: true },
  { name: 'profile', path: '/users/me', isAuthenticated: true },
] as const;

const titles: Readonly<Record<(typeof routes)[number]['name'], string>> = {
  open: 'an open route',
  authenticated: 'the same, authenticated',
  profile: '`GET /users/me`',
};

/** What it costs to know who asks: one answer with and without that, and the profile of the caller. */
export function httpCases({ clients, rounds, loadSeconds }: Scale): Case[] {
  return [
    {
      id: 'authenticated',
      title: 'An authenticated request against the same open one',
      expectedSeconds: routes.length * rounds * (loadSeconds + 1),
      run: (bench) => compareRoutes(bench, clients),
    },
  ];
}

async function compareRoutes(bench: Bench, clients: number): Promise<Table> {
  const { scale, stand, database, accounts } = bench;
  const api = await stand.startApiWithProbes(database);
  const connections = await Promise.all(
    accounts.readers.map(() => HttpConnection.open(api.host, api.port)),
  );
  const sides = routes.map(({ name, path, isAuthenticated }) => {
    const get = (headers: Record<string, string>) =>
      encodeRequest({ method: 'GET', path: `${API_PREFIX}${path}`, headers });
    const operations = connections.map((connection, index) => {
      const authorization = `Bearer ${accounts.readers[index]!.token}`;
      return prepareRequest(connection, get(isAuthenticated ? { authorization } : {}));
    });
    const anonymous = prepareRequest(connections[0]!, get({}), isAuthenticated ? 401 : 200);
    return { name, operations, anonymous, work: operations.map((operation) => () => operation) };
  });
  for (const { operations, anonymous } of sides) {
    for (const operation of [...operations, anonymous]) await operation.verify();
  }
  for (const { work } of sides) {
    if (scale.warmUpMs > 0) await operationsPerSecond(work, scale.warmUpMs / 1000);
  }

  const rates = await interleave(
    sides.map(({ name, work }) => ({
      name,
      sample: async () => [await operationsPerSecond(work, scale.loadSeconds)],
    })),
    scale.rounds,
  );
  const times = await interleave(
    sides.map(({ name, operations: [operation] }) => ({
      name,
      sample: () => timeEach(Array.from({ length: scale.repeats(1) }, () => operation!)),
    })),
    scale.rounds,
  );
  for (const connection of connections) connection.close();
  await api.stop();
  const shares = rates.map(({ median }) => median / rates[0]!.median);
  return {
    kind: 'table',
    head: ['', `requests/s, ${clients} clients`, 'of the open route', 'ms, one client'],
    rows: routes.map(({ name }, index) => [
      titles[name],
      figure(rates[index]!.median),
      `×${figure(shares[index]!)}`,
      figure(times[index]!.median),
    ]),
    figures: { share: shares[1]!, profile: shares[2]! },
  };
}
