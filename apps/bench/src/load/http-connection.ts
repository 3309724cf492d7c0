import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What came back; `body` only where it was asked for. */
export interface HttpAnswer {
  readonly status: number;
  /** Of the body on the wire, without the framing of chunks. */
  readonly bodyBytes: number;
  readonly headers: string;
  readonly body: Buffer | null;
}

interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The bytes of a request, made before the clock starts. */
export function encodeRequest({ method, path, headers, body }: HttpRequest): Buffer {
  const lines = Object.entries({
    host: 'bench',
    ...headers,
    ...(body !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    }),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`);
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/**
 * One kept-alive HTTP/1.1 connection that sends ready bytes and counts those that come back. The
 * load shares its machine with the servers: a full client would take the share that they are
 * measured by.
 */
export class HttpConnection {
  private pending: ((result: HttpAnswer | Error) => void) | null = null;
  private reader = new AnswerReader(false);

  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('error', (error) => this.settle(error));
    socket.on('close', () => this.settle(new Error('The server closed the connection')));
  }

  static async open(host: string, port: number): Promise<HttpConnection> {
    const socket = connect(port, host);
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  /** One request at a time. */
  send(request: Buffer, keepBody = false): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      // It would say so to nobody: its end was told while nothing was pending.
      if (this.socket.destroyed) throw new Error('The server closed the connection');
      this.reader = new AnswerReader(keepBody);
      this.pending = (result) => (result instanceof Error ? reject(result) : resolve(result));
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(chunk: Buffer): void {
    const answer = this.reader.push(chunk);
    if (answer) this.settle(answer);
  }

  private settle(result: HttpAnswer | Error): void {
    const { pending } = this;
    this.pending = null;
    pending?.(result);
  }
}

/** Reads one answer from the pieces that arrive. */
class AnswerReader {
  private status = 0;
  private headers: string | null = null;
  private isChunked = false;
  /** Bytes of the body, or of the current chunk with its line end, that have not come yet. */
  private missing = 0;
  private bodyBytes = 0;
  private rest: Buffer = Buffer.alloc(0);
  private readonly parts: Buffer[] = [];

  private readonly keepsBody: boolean;

  constructor(keepsBody: boolean) {
    this.keepsBody = keepsBody;
  }

  push(chunk: Buffer): HttpAnswer | null {
    const data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    this.rest = Buffer.alloc(0);
    if (this.headers !== null) return this.readBody(data, 0);
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      this.rest = data;
      return null;
    }
    this.readHead(data.toString('latin1', 0, end + 2));
    return this.readBody(data, end + HEAD_END.length);
  }

  private readHead(head: string): void {
    this.headers = head.toLowerCase();
    this.status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)\r\n/.exec(this.headers)?.[1];
    this.isChunked = length === undefined && this.status !== 204;
    this.missing = Number(length ?? 0);
  }

  private readBody(data: Buffer, start: number): HttpAnswer | null {
    if (this.isChunked) return this.readChunks(data, start);
    this.take(data, start, data.length);
    this.missing -= data.length - start;
    return this.missing === 0 ? this.answer() : null;
  }

  private readChunks(data: Buffer, start: number): HttpAnswer | null {
    let at = start;
    for (;;) {
      if (this.missing > 0) {
        const end = Math.min(data.length, at + this.missing);
        // The line end behind a chunk is no part of the body.
        this.take(data, at, Math.min(end, at + Math.max(0, this.missing - LINE_END.length)));
        this.missing -= end - at;
        at = end;
        if (this.missing > 0) return null;
      }
      const end = data.indexOf(LINE_END, at);
      if (end < 0) {
        this.rest = data.subarray(at);
        return null;
      }
      const size = Number.parseInt(data.toString('latin1', at, end), 16);
      if (size === 0) {
        if (data.length >= end + HEAD_END.length) return this.answer();
        this.rest = data.subarray(at);
        return null;
      }
      this.missing = size + LINE_END.length;
      at = end + LINE_END.length;
    }
  }

  private take(data: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    if (this.keepsBody && end > start) this.parts.push(data.subarray(start, end));
  }

  private answer(): HttpAnswer {
    return {
      status: this.status,
      bodyBytes: this.bodyBytes,
      headers: this.headers ?? '',
      body: this.keepsBody ? Buffer.concat(this.parts) : null,
    };
  }
}
