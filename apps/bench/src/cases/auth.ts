import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { hash, verify } from 'argon2';
import type { Client } from 'pg';
import { loadConfig } from '../../../api/dist/platform/config/config.js';
import { type Account, PASSWORD } from '../accounts.ts';
import type { Bench } from '../bench.ts';
import { type Operation, WrongAnswer } from '../contestants/contestant.ts';
import { API_PREFIX } from '../contestants/http-contestant.ts';
import { figure, times } from '../format.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { prepareRequest } from '../load/request.ts';
import { median, quantile } from '../load/statistics.ts';
import { operationsPerSecond, type Work } from '../load/time.ts';
import type { Scale } from '../scale.ts';
import type { Case, Table } from './case.ts';

/** Of a session and minute; one below the limit, so that none is refused. */
const REFRESHES = 9;
const SIGN_INS_AT_ONCE = 50;
const WRONG_PASSWORD = 'not the password of anybody';

export function authCases({ rounds, loadSeconds, addressSamples }: Scale): Case[] {
  return [
    {
      id: 'sign-in',
      title: 'Sign-in and refresh against bare argon2',
      expectedSeconds: 3 * rounds * (loadSeconds + 0.5),
      run: compareSignIn,
    },
    {
      id: 'flood',
      title: `GET /health beside ${SIGN_INS_AT_ONCE} sign-ins at once`,
      expectedSeconds: 2 * rounds * loadSeconds,
      run: measureFlood,
    },
    {
      id: 'addresses',
      title: 'Known and unknown addresses, for who may not tell them apart',
      expectedSeconds: addressSamples / 4,
      run: compareAddresses,
    },
  ];
}

async function compareSignIn({ scale, api, accounts }: Bench): Promise<Table> {
  const clients: Array<[HttpConnection, Account]> = await Promise.all(
    accounts.readers.map(async (account) => {
      return [await HttpConnection.open(api.host, api.port), account];
    }),
  );
  const signIns = clients.map(([connection, account]): Work => {
    const operation = prepareRequest(connection, signInRequest(account.email, PASSWORD));
    return () => operation;
  });
  const samplers: Sampler[] = [
    await bareHashing(scale),
    {
      name: 'sign-in',
      sample: async () => [await operationsPerSecond(signIns, scale.loadSeconds)],
    },
    {
      name: 'refresh',
      sample: async () => {
        const work: Work[] = [];
        for (const [connection, account] of clients)
          work.push(await refreshes(connection, account));
        return [await operationsPerSecond(work, scale.loadSeconds)];
      },
    },
  ];
  const measurements = await interleave(samplers, scale.rounds);
  for (const [connection] of clients) connection.close();
  const bare = measurements[0]!.median;
  const titles = ['bare argon2, as many at once as cores', 'sign-in by password', 'refresh'];
  return {
    kind: 'table',
    head: [`${clients.length} clients`, 'per second', 'of bare argon2'],
    rows: measurements.map((measured, index) => [
      titles[index]!,
      figure(measured.median),
      times(measured.median / bare),
    ]),
    figures: { 'sign-in': measurements[1]!.median / bare },
  };
}

/** The same comparison of a password that a sign-in makes, with nothing around it. */
async function bareHashing({ loadSeconds }: Scale): Promise<Sampler> {
  const { memoryKib, timeCost, parallelism } = loadConfig({ DATABASE_URL: 'postgres://unused' })
    .auth.passwordHash;
  const stored = await hash(PASSWORD, { memoryCost: memoryKib, timeCost, parallelism });
  const compare = async () => {
    if (!(await verify(stored, PASSWORD))) throw new WrongAnswer('argon2 knows no password');
  };
  const operation: Operation = { verify: compare, run: compare };
  const work = Array.from({ length: availableParallelism() }, (): Work => () => operation);
  return { name: 'argon2', sample: async () => [await operationsPerSecond(work, loadSeconds)] };
}

/** What a device does after a sign-in: each refresh with the token of the one before. */
async function refreshes(connection: HttpConnection, account: Account): Promise<Work> {
  let left = REFRESHES;
  const ask = async (request: Buffer): Promise<string> => {
    const { status, body } = await connection.send(request, true);
    if (status !== 200) throw new WrongAnswer(`${status} ${body?.toString()}`);
    return (JSON.parse(body!.toString()) as { refreshToken: string }).refreshToken;
  };
  let refreshToken = await ask(signInRequest(account.email, PASSWORD));
  const refresh = async () => {
    refreshToken = await ask(post('refresh', { refreshToken }));
  };
  return () => {
    left -= 1;
    return left >= 0 ? { verify: refresh, run: refresh } : undefined;
  };
}

async function measureFlood({ scale, api, accounts }: Bench): Promise<Table> {
  const health = await HttpConnection.open(api.host, api.port);
  const request = { method: 'GET', path: `${API_PREFIX}/health`, headers: {} } as const;
  const asked = prepareRequest(health, encodeRequest(request));
  const connections: HttpConnection[] = [];
  const signIns: Work[] = [];
  for (let index = 0; index < SIGN_INS_AT_ONCE; index += 1) {
    const connection = await HttpConnection.open(api.host, api.port);
    // Spread, since only so many sign-ins of one account may be under way at once.
    const { email } = accounts.others[index % accounts.others.length]!;
    const operation = prepareRequest(connection, signInRequest(email, PASSWORD));
    connections.push(connection);
    signIns.push(() => operation);
  }
  await asked.verify();

  const alone: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < scale.rounds; round += 1) {
    alone.push(...(await timesUntil(asked, delay(scale.loadSeconds))));
    beside.push(...(await timesUntil(asked, operationsPerSecond(signIns, scale.loadSeconds))));
  }
  for (const connection of [health, ...connections]) connection.close();
  const p99 = quantile(beside, 0.99);
  return {
    kind: 'table',
    head: ['GET /health, ms', 'p50', 'p99'],
    rows: [
      ['alone', figure(median(alone)), figure(quantile(alone, 0.99))],
      ['beside the sign-ins', figure(median(beside)), figure(p99)],
    ],
    figures: { p99 },
  };
}

const delay = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function timesUntil(operation: Operation, other: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const ending = other.finally(() => (isOver = true));
  const found: number[] = [];
  while (!isOver) {
    const startedMs = performance.now();
    await operation.run();
    found.push(performance.now() - startedMs);
    // Lets the answers to the sign-ins in, which share this process.
    await new Promise(setImmediate);
  }
  await ending;
  return found;
}

/** Whatever somebody could ask about an address, where addresses have to be verified. */
const questions: ReadonlyArray<[name: string, status: number, ask: (email: string) => Buffer]> = [
  ['sign-in, refused', 401, (email) => signInRequest(email, WRONG_PASSWORD)],
  [
    'registration',
    202,
    (email) => post('register', { email, password: PASSWORD, displayName: 'Somebody' }),
  ],
  ['forgotten password', 202, (email) => post('password/forgot', { email })],
  ['new link to verify', 202, (email) => post('email/resend', { email })],
];

async function compareAddresses(bench: Bench): Promise<Table> {
  const { stand, database, accounts } = bench;
  const api = await stand.startApi(database, { EMAIL_VERIFICATION_REQUIRED: 'true' });
  const connection = await HttpConnection.open(api.host, api.port);
  // Only who has not verified an address gets another link.
  await database.admin.query('UPDATE users SET email_verified_at = NULL WHERE email = ANY($1)', [
    accounts.others.map(({ email }) => email),
  ]);
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const [name, status, ask] of questions) {
    const found = await timeAddresses(bench, async (email) => {
      await prepareRequest(connection, ask(email), status).run();
    });
    const ratio = median(found.known) / median(found.unknown);
    figures[name] = ratio;
    const quantiles = (values: readonly number[]) =>
      [0.5, 0.9, 0.99].map((share) => figure(quantile(values, share)));
    rows.push([name, ...quantiles(found.known), ...quantiles(found.unknown), times(ratio)]);
  }
  connection.close();
  await api.stop();
  const head = ['known p50', 'p90', 'p99', 'unknown p50', 'p90', 'p99', 'ratio of p50'];
  return { kind: 'table', head: ['ms', ...head], rows, figures };
}

/** Each address seldom, so that no limit by account is met. */
async function timeAddresses(
  { scale, database, accounts }: Bench,
  ask: (email: string) => Promise<void>,
) {
  await database.admin.query('TRUNCATE rate_limits');
  const found = { known: [] as number[], unknown: [] as number[] };
  for (let index = 0; index < scale.addressSamples; index += 1) {
    const emails = {
      known: accounts.others[index % accounts.others.length]!.email,
      unknown: `${randomUUID()}@bench.example.com`,
    };
    const kinds = ['known', 'unknown'] as const;
    for (const kind of index % 2 === 0 ? kinds : kinds.toReversed()) {
      await untilJobsDone(database.admin);
      const startedMs = performance.now();
      await ask(emails[kind]);
      found[kind].push(performance.now() - startedMs);
    }
  }
  return found;
}

/** The mail that one request causes would slow down the next. */
async function untilJobsDone(admin: Client): Promise<void> {
  const due =
    'SELECT FROM graphile_worker._private_jobs WHERE run_at <= now() AND is_available LIMIT 1';
  const running = 'SELECT FROM graphile_worker._private_jobs WHERE locked_at IS NOT NULL LIMIT 1';
  while ((await admin.query(`(${due}) UNION ALL (${running})`)).rowCount) await delay(0.005);
}

function signInRequest(email: string, password: string): Buffer {
  return post('login', { email, password });
}

function post(route: string, body: object): Buffer {
  return encodeRequest({
    method: 'POST',
    path: `${API_PREFIX}/auth/${route}`,
    headers: {},
    body: JSON.stringify(body),
  });
}
