import {
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A fault that is armed: it strikes the first matching request from now on, and only that one. */
export interface Fault {
  /** Resolves when the fault has struck; each fault says at which moment that is. */
  struck: Promise<void>;
}

export interface Hold extends Fault {
  /** Lets the held request or answer go on. */
  release(): void;
}

export interface Duplicate {
  /** The statuses of both answers; the client got the second. */
  statuses: Promise<[first: number, second: number]>;
}

/** A request as the server got it, whole, and what came back, whatever the client saw of it. */
export interface Forwarded {
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Null when the connection broke before its end. */
  answer: Answer | null;
}

interface Answer {
  status: number;
  rawHeaders: string[];
  body: Buffer;
}

type Observer = (forwarded: Forwarded) => void;

interface Armed {
  path: string;
  strike: (exchange: Exchange) => Promise<void>;
}

/**
 * Stands between a device and the API on the loopback and breaks what networks break. What no fault
 * strikes passes unchanged. `path` in a fault is the end of the request's path, e.g. `/sync/push`.
 * WebSockets are not passed.
 */
export class FaultyProxy {
  /** Every request in order of arrival, e.g. `GET /api/v1/sync/pull` (without the query). */
  readonly requests: string[] = [];
  /** Told of each request that was forwarded, before the client gets anything of its answer. */
  observer: Observer = () => undefined;
  readonly #armed: Armed[] = [];

  private constructor(
    readonly url: string,
    readonly server: Server,
  ) {}

  /** `target` is the origin of the API. */
  static async start(target: string): Promise<FaultyProxy> {
    // Its answers promise what the API promises; closing an idle connection before that would be a
    // fault that nobody armed, for the client that is just about to use it.
    const server = createServer({ keepAliveTimeout: 0 });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const proxy = new FaultyProxy(`http://127.0.0.1:${port}`, server);
    server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
      // When one side breaks off, the other one has to see a broken connection too.
      proxy.#handle(target, incoming, outgoing).catch(() => outgoing.destroy());
    });
    return proxy;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** The server handles the request, its answer never arrives. Strikes when the server has answered. */
  loseAnswer(path: string): Fault {
    return this.#arm(path, async (exchange, struck) => {
      await exchange.forward();
      exchange.cut();
      struck();
    });
  }

  /** The client gets the first half of the answer only. Strikes when the connection is cut. */
  cutAnswer(path: string): Fault {
    return this.#arm(path, async (exchange, struck) => {
      await exchange.answerHalf(await exchange.forward());
      struck();
    });
  }

  /** The connection breaks after half of the request's body. Strikes when both sides are cut. */
  killRequest(path: string): Fault {
    return this.#arm(path, async (exchange, struck) => {
      await exchange.forwardHalf();
      exchange.cut();
      struck();
    });
  }

  /** Strikes when the request is here; the server sees it after `release()`. */
  holdRequest(path: string): Hold {
    return this.#armHold(path, async (exchange, held) => {
      await held();
      await exchange.answer(await exchange.forward());
    });
  }

  /** Strikes when the server has answered; the client sees the answer after `release()`. */
  holdAnswer(path: string): Hold {
    return this.#armHold(path, async (exchange, held) => {
      const answer = await exchange.forward();
      await held();
      await exchange.answer(answer);
    });
  }

  /**
   * The server gets the request twice: one after the other, as from a proxy that retries, or both at
   * once. The client gets the answer of the second.
   */
  duplicate(path: string, { atOnce = false } = {}): Duplicate {
    const { promise, resolve } = Promise.withResolvers<[number, number]>();
    this.#arm(path, async (exchange) => {
      const first = exchange.forward();
      if (!atOnce) await first;
      const second = await exchange.forward();
      resolve([(await first).status, second.status]);
      await exchange.answer(second);
    });
    return { statuses: promise };
  }

  /** Takes back the faults that have not struck. */
  disarm(): void {
    this.#armed.length = 0;
  }

  #arm(path: string, strike: (exchange: Exchange, struck: () => void) => Promise<void>): Fault {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#armed.push({ path, strike: (exchange) => strike(exchange, resolve) });
    return { struck: promise };
  }

  #armHold(
    path: string,
    strike: (exchange: Exchange, held: () => Promise<void>) => Promise<void>,
  ): Hold {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { struck } = this.#arm(path, (exchange, strikes) =>
      strike(exchange, () => {
        strikes();
        return promise;
      }),
    );
    return { struck, release: resolve };
  }

  async #handle(
    target: string,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    const path = new URL(incoming.url ?? '/', target).pathname;
    this.requests.push(`${incoming.method} ${path}`);
    const index = this.#armed.findIndex((fault) => path.endsWith(fault.path));
    const fault = index < 0 ? undefined : this.#armed.splice(index, 1)[0];
    const exchange = new Exchange(target, incoming, outgoing, await buffer(incoming), (forwarded) =>
      this.observer({ path, ...forwarded }),
    );
    if (fault) await fault.strike(exchange);
    else await exchange.answer(await exchange.forward());
  }
}

/** One request of the client and its answer. */
class Exchange {
  constructor(
    private readonly target: string,
    private readonly incoming: IncomingMessage,
    private readonly outgoing: ServerResponse,
    private readonly body: Buffer,
    private readonly tell: (forwarded: Omit<Forwarded, 'path'>) => void,
  ) {}

  /** Sends the request to the server, resolves when its whole answer is here. */
  async forward(): Promise<Answer> {
    const { headers } = this.incoming;
    try {
      const answer = await this.#exchange();
      this.tell({ headers, body: this.body, answer });
      return answer;
    } catch (error) {
      this.tell({ headers, body: this.body, answer: null });
      throw error;
    }
  }

  async #exchange(): Promise<Answer> {
    const upstream = this.#connect();
    const head = await new Promise<IncomingMessage>((resolve, reject) => {
      upstream.once('response', resolve).once('error', reject).end(this.body);
    });
    return {
      status: head.statusCode ?? 0,
      rawHeaders: head.rawHeaders,
      body: await buffer(head),
    };
  }

  /** Sends the head and half of the body, then breaks the connection to the server. */
  forwardHalf(): Promise<void> {
    return new Promise((resolve) => {
      const upstream = this.#connect();
      // Breaking off before the answer is an error to Node, and the purpose here.
      upstream.once('close', resolve).once('error', () => undefined);
      upstream.write(firstHalf(this.body), () => upstream.destroy());
    });
  }

  async answer({ status, rawHeaders, body }: Answer): Promise<void> {
    this.outgoing.writeHead(status, rawHeaders);
    await new Promise<void>((resolve) => this.outgoing.end(body, resolve));
  }

  async answerHalf({ status, rawHeaders, body }: Answer): Promise<void> {
    this.outgoing.writeHead(status, rawHeaders);
    await new Promise((resolve) => this.outgoing.write(firstHalf(body), resolve));
    this.cut();
  }

  /** Breaks the connection to the client. */
  cut(): void {
    this.outgoing.destroy();
  }

  #connect(): ClientRequest {
    const { method, rawHeaders } = this.incoming;
    const upstream = httpRequest(new URL(this.incoming.url ?? '/', this.target), {
      // A connection of its own, so that breaking it breaks nothing else.
      agent: false,
      method: method ?? 'GET',
      headers: rawHeaders,
    });
    // A client that gives up takes its request to the server with it.
    this.outgoing.once('close', () => upstream.destroy());
    return upstream;
  }
}

function firstHalf(bytes: Buffer): Buffer {
  return bytes.subarray(0, Math.floor(bytes.length / 2));
}
