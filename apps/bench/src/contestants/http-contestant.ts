import type { Account } from '../accounts.ts';
import { encodeRequest, HttpConnection } from '../load/http-connection.ts';
import type { Batch } from '../records.ts';
import type { ServerProcess } from '../stand/server-process.ts';
import {
  type Client,
  type Contestant,
  type ContestantName,
  type Operation,
  type Pull,
  type Push,
  WrongAnswer,
} from './contestant.ts';

/** Before the API's routes. */
export const API_PREFIX = '/api/v1';

interface PulledBody {
  changes: Record<string, { created: unknown[]; updated: unknown[] }>;
}

interface PushedBody {
  warnings?: unknown[];
}

export const apiContestant = (server: ServerProcess): Contestant =>
  new HttpContestant('api', server, API_PREFIX);

export const naiveContestant = (server: ServerProcess): Contestant =>
  new HttpContestant('naive', server, '');

/** A server that speaks WatermelonDB's protocol, measured from outside. */
class HttpContestant implements Contestant {
  readonly name: ContestantName;
  private readonly server: ServerProcess;
  /** Before `/sync/pull`. */
  private readonly prefix: string;

  constructor(name: ContestantName, server: ServerProcess, prefix: string) {
    this.name = name;
    this.server = server;
    this.prefix = prefix;
  }

  async connect({ token }: Account): Promise<Client> {
    const connection = await HttpConnection.open(this.server.host, this.server.port);
    return new HttpClient(connection, this.prefix, `Bearer ${token}`);
  }
}

class HttpClient implements Client {
  private readonly connection: HttpConnection;
  private readonly prefix: string;
  private readonly authorization: string;

  constructor(connection: HttpConnection, prefix: string, authorization: string) {
    this.connection = connection;
    this.prefix = prefix;
    this.authorization = authorization;
  }

  preparePull({ cursor, rows }: Pull): Operation {
    const request = encodeRequest({
      method: 'GET',
      path: `${this.prefix}/sync/pull?lastPulledAt=${cursor || 'null'}&schemaVersion=1&migration=null`,
      headers: { authorization: this.authorization },
    });
    let verifiedBytes = 0;
    const verify = async () => {
      const { status, bodyBytes, body } = await this.connection.send(request, true);
      const text = body?.toString() ?? '';
      if (status !== 200) throw new WrongAnswer(`A pull was answered with ${status} ${text}`);
      const { changes } = JSON.parse(text) as PulledBody;
      const pulled = Object.values(changes)
        .map(({ created, updated }) => created.length + updated.length)
        .reduce((sum, count) => sum + count, 0);
      if (pulled !== rows) throw new WrongAnswer(`A pull had ${pulled} rows, not ${rows}`);
      verifiedBytes = bodyBytes;
    };
    const run = async () => {
      const { status, bodyBytes } = await this.connection.send(request);
      if (status !== 200 || bodyBytes !== verifiedBytes) {
        throw new WrongAnswer(`A pull of ${verifiedBytes} bytes: ${status}, ${bodyBytes} bytes`);
      }
    };
    return { verify, run };
  }

  preparePush({ cursor, batch }: Push): Operation {
    const request = encodeRequest({
      method: 'POST',
      path: `${this.prefix}/sync/push`,
      headers: { authorization: this.authorization },
      body: toPushBody(cursor, batch),
    });
    const verify = async () => {
      const { status, body } = await this.connection.send(request, true);
      const text = body?.toString() ?? '';
      const { warnings = [] } = (status === 200 ? JSON.parse(text) : {}) as PushedBody;
      if (status !== 200 || warnings.length > 0) {
        throw new WrongAnswer(`A push was answered with ${status} ${text}`);
      }
    };
    const run = async () => {
      const { status } = await this.connection.send(request);
      if (status !== 200) throw new WrongAnswer(`A push was answered with ${status}`);
    };
    return { verify, run };
  }

  close(): Promise<void> {
    this.connection.close();
    return Promise.resolve();
  }
}

/** As WatermelonDB sends it, with the columns that it keeps for itself. */
function toPushBody(cursor: number, { projects, tasks }: Batch): string {
  const changes = (records: readonly object[]) => ({
    created: records.map((record) => ({ ...record, _status: 'created', _changed: '' })),
    updated: [],
    deleted: [],
  });
  return JSON.stringify({
    changes: { projects: changes(projects), tasks: changes(tasks) },
    lastPulledAt: cursor,
  });
}
