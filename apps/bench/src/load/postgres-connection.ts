import type { Socket } from 'node:net';
import pg from 'pg';
import { serialize } from 'pg-protocol';

const HEADER_BYTES = 5;
const DATA_ROW = 'D'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
const READY_FOR_QUERY = 'Z'.charCodeAt(0);

/** Those of the engine's connections: it plans a statement once, and reads without parallel workers. */
export const SETTINGS =
  '-c max_parallel_workers_per_gather=0 -c plan_cache_mode=force_generic_plan';

/**
 * A connection that speaks PostgreSQL's protocol with no more work than counting rows: prepared
 * statements, rows thrown away unread. The bare limit is measured with it.
 */
export class PostgresConnection {
  private readonly socket: Socket;
  private readonly prepared = new Set<string>();
  private pending: ((result: number | Error) => void) | null = null;
  private rows = 0;
  private failure: Error | null = null;
  private rest: Buffer = Buffer.alloc(0);
  /** Bytes of the current message that have not come yet and that nobody reads. */
  private skip = 0;

  private readonly client: pg.Client;

  private constructor(client: pg.Client) {
    this.client = client;
    // The package has signed in; from here on this class reads the answers itself.
    this.socket = client.connection.stream as Socket;
    this.socket.removeAllListeners('data');
    this.socket.on('data', (chunk: Buffer) => this.receive(chunk));
    this.socket.on('close', () => this.settle(new Error('PostgreSQL closed the connection')));
  }

  static async open(url: string): Promise<PostgresConnection> {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'rind-bench-limit',
      options: SETTINGS,
    });
    client.on('error', () => undefined);
    await client.connect();
    return new PostgresConnection(client);
  }

  async prepare(name: string, text: string): Promise<void> {
    if (this.prepared.has(name)) return;
    this.prepared.add(name);
    await this.exchange(Buffer.concat([serialize.parse({ name, text }), serialize.sync()]));
  }

  /** Sends ready messages; resolves with the number of rows that came back. */
  exchange(messages: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.rows = 0;
      this.failure = null;
      this.pending = (result) => (result instanceof Error ? reject(result) : resolve(result));
      this.socket.write(messages);
    });
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  private receive(chunk: Buffer): void {
    if (this.skip >= chunk.length) {
      this.skip -= chunk.length;
      return;
    }
    let data = this.skip > 0 ? chunk.subarray(this.skip) : chunk;
    this.skip = 0;
    if (this.rest.length > 0) data = Buffer.concat([this.rest, data]);
    this.rest = this.readMessages(data);
  }

  /** Answers what is left over: a header that has not come whole, or an error. */
  private readMessages(data: Buffer): Buffer {
    let at = 0;
    while (at + HEADER_BYTES <= data.length) {
      const type = data[at]!;
      const end = at + 1 + data.readInt32BE(at + 1);
      if (type === DATA_ROW) this.rows += 1;
      else if (end > data.length && (type === ERROR || type === READY_FOR_QUERY)) break;
      else if (type === ERROR) this.failure = new Error(readableError(data.subarray(at, end)));
      else if (type === READY_FOR_QUERY) this.settle(this.failure ?? this.rows);
      if (end > data.length) {
        this.skip = end - data.length;
        return Buffer.alloc(0);
      }
      at = end;
    }
    return data.subarray(at);
  }

  private settle(result: number | Error): void {
    const { pending } = this;
    this.pending = null;
    pending?.(result);
  }
}

/** A statement prepared under this name, as the messages that run it. */
export function encodeRun(name: string, values: readonly unknown[]): Buffer {
  return Buffer.concat([
    serialize.bind({ statement: name, values: [...values] }),
    serialize.execute(),
  ]);
}

/** Ends a group of runs: the server answers when all are done. */
export const encodeSync = () => serialize.sync();

function readableError(message: Buffer): string {
  return message
    .toString('utf8', HEADER_BYTES)
    .split('\0')
    .filter((field) => /^[CMD]/.test(field))
    .map((field) => field.slice(1))
    .join(' ');
}
