import { REALTIME_NAMESPACE, REALTIME_PATH } from '@rind/contracts';
import { io, type Socket } from 'socket.io-client';
import { type Account, firstProjectOf, seededVersion, signIn } from '../accounts.ts';
import type { Bench } from '../bench.ts';
import { type Client, type Operation, WrongAnswer } from '../contestants/contestant.ts';
import { apiContestant } from '../contestants/http-contestant.ts';
import { counted, figure, times } from '../format.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import { interleave, type Sampler } from '../load/interleave.ts';
import { prepareRequest } from '../load/request.ts';
import { median, quantile } from '../load/statistics.ts';
import { createBatch } from '../records.ts';
import type { Scale } from '../scale.ts';
import { memoryOf } from '../stand/process-memory.ts';
import type { ServerProcess } from '../stand/server-process.ts';
import type { Case, Table } from './case.ts';

/** Longer than the API folds the changes of a user together: each push is the first after a pause. */
const PAUSE_MS = 60;
/** After which a wake-up does not come any more. */
const WAITING_MS = 10_000;
/** Handshakes under way at once. */
const CONNECTING = 20;

export function realtimeCases({ sockets, rounds, wakeUps }: Scale): Case[] {
  return [
    {
      id: 'wake-up',
      title: `A push wakes another device, with ${counted(sockets, 'connected socket')}`,
      expectedSeconds: sockets / 50 + rounds * wakeUps * 0.02,
      run: compareWakeUps,
    },
  ];
}

/** A server with all its sockets, of which those of the devices are named. */
interface Crowd {
  readonly devices: readonly Socket[];
  readonly bytesEach: number | null;
  /** @throws WrongAnswer when somebody was cut off meanwhile */
  close(): void;
}

async function compareWakeUps(bench: Bench): Promise<Table> {
  const { scale, stand, api, database, accounts } = bench;
  const bareServer = await stand.startBareSockets(database);
  const tokens: string[] = [];
  for (const { email } of accounts.writers) tokens.push(await signIn(api, email));
  const others = accounts.readers.map(({ token }) => token);
  const bare = await gather(bareServer, scale.sockets, tokens, others);
  const rind = await gather(api, scale.sockets, tokens, others);

  const trigger = await HttpConnection.open(bareServer.host, bareServer.port);
  const emit = async (index: number) => {
    const received = nextWakeUp(bare.devices[index]!);
    const path = `/emit?room=${tokens[index]}`;
    const request = encodeRequest({ method: 'GET', path, headers: {} });
    await prepareRequest(trigger, request).run();
    const { at, sentAt } = await received;
    return Number(at - BigInt(sentAt!)) / 1e6;
  };
  const pushers = await connectPushers(bench);
  const fromSending: number[] = [];
  const push = async (index: number) => {
    const operation = pushers[index]!();
    const received = nextWakeUp(rind.devices[index]!);
    const sentAt = process.hrtime.bigint();
    await operation.run();
    const answeredAt = process.hrtime.bigint();
    const { at } = await received;
    fromSending.push(Number(at - sentAt) / 1e6);
    // Negative where it was there before the answer.
    return Number(at - answeredAt) / 1e6;
  };
  const samplers = [inTurns('bare', emit, bench), inTurns('rind', push, bench)];
  // What both compile and cache on the way.
  for (const sampler of samplers) await sampler.sample();
  fromSending.length = 0;
  const [ofBare, ofRind] = await interleave(samplers, scale.rounds);
  for (const open of [bare, rind, trigger]) open.close();
  await bareServer.stop();

  const afterAnswerMs = Math.max(0, quantile(ofRind!.samples, 0.99));
  const p99 = afterAnswerMs / quantile(ofBare!.samples, 0.99);
  return {
    kind: 'table',
    head: ['', 'p50, ms', 'p99, ms', 'memory of a socket'],
    rows: [
      ['bare Socket.IO: from the emit to the event', ...latencies(ofBare!.samples), inKb(bare)],
      // Below zero it was there before the answer.
      ['Rind: from the answer to the event', ...latencies(ofRind!.samples), inKb(rind)],
      ['Rind: from sending the push to the event', ...latencies(fromSending), ''],
      ['after the answer, to bare Socket.IO', '', times(p99), ''],
    ],
    figures: { p99 },
  };
}

/** One device after the other, each after a pause of its own. */
function inTurns(
  name: string,
  wakeUp: (device: number) => Promise<number>,
  { scale, accounts }: Bench,
): Sampler {
  const lastMs = new Map<number, number>();
  return {
    name,
    sample: async () => {
      const found: number[] = [];
      for (let count = 0; count < scale.wakeUps; count += 1) {
        const device = count % accounts.writers.length;
        const pausedMs = performance.now() - (lastMs.get(device) ?? 0);
        if (pausedMs < PAUSE_MS) await delay(PAUSE_MS - pausedMs);
        found.push(await wakeUp(device));
        lastMs.set(device, performance.now());
      }
      return found;
    },
  };
}

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What makes the next push of each writer, of one new record. */
async function connectPushers({ api, database, accounts }: Bench): Promise<Array<() => Operation>> {
  const contestant = apiContestant(api);
  const prepare = async (account: Account) => {
    const client: Client = await contestant.connect(account);
    const projectId = await firstProjectOf(database.admin, account);
    const next = () =>
      client.preparePush({ cursor: seededVersion(account), batch: createBatch(1, projectId) });
    await next().verify();
    return next;
  };
  const pushers: Array<() => Operation> = [];
  for (const account of accounts.writers) pushers.push(await prepare(account));
  return pushers;
}

/** Connects the devices, and others until there are so many. */
async function gather(
  server: ServerProcess,
  count: number,
  tokens: readonly string[],
  others: readonly string[],
): Promise<Crowd> {
  const before = await memoryOf(server, 'now');
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const size = Math.min(CONNECTING, count - sockets.length);
    const next = Array.from({ length: size }, (_, offset) => {
      const index = sockets.length + offset;
      return connect(server, tokens[index] ?? others[index % others.length]!);
    });
    sockets.push(...(await Promise.all(next)));
  }
  const after = await memoryOf(server, 'now');
  return {
    devices: sockets.slice(0, tokens.length),
    bytesEach: before === null || after === null ? null : (after - before) / count,
    close: () => {
      if (!sockets.every(({ connected }) => connected)) throw new WrongAnswer('Sockets were lost');
      for (const socket of sockets) socket.close();
    },
  };
}

async function connect({ host, port }: ServerProcess, token: string): Promise<Socket> {
  const socket = io(`http://${host}:${port}${REALTIME_NAMESPACE}`, {
    path: REALTIME_PATH,
    transports: ['websocket'],
    auth: { token },
    forceNew: true,
    reconnection: false,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}

interface WakeUp {
  readonly at: bigint;
  readonly sentAt?: string;
}

function nextWakeUp(socket: Socket): Promise<WakeUp> {
  const wakeUp = new Promise<WakeUp>((resolve, reject) => {
    const fail = (why: string) => reject(new WrongAnswer(`A device was not woken: ${why}`));
    const timer = setTimeout(fail, WAITING_MS, 'nothing came');
    socket.once('disconnect', fail);
    socket.once('sync:changed', ({ sentAt }: { sentAt?: string }) => {
      const at = process.hrtime.bigint();
      clearTimeout(timer);
      socket.off('disconnect', fail);
      resolve({ at, ...(sentAt !== undefined && { sentAt }) });
    });
  });
  // Nobody waits for it when what should cause it has failed.
  wakeUp.catch(() => undefined);
  return wakeUp;
}

const latencies = (samples: readonly number[]) => [
  figure(median(samples)),
  figure(quantile(samples, 0.99)),
];

const inKb = ({ bytesEach }: Crowd) =>
  bytesEach === null ? 'not available' : `${figure(bytesEach / 1000)} kB`;
