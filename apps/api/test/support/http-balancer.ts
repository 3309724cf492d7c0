import { EventEmitter, once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { pipeline, type Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

const CHECK_INTERVAL_MS = 250;
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);

interface Target {
  readonly url: URL;
  isReady: boolean;
  answers: number;
}

/**
 * A balancer of requests, as proxies are: it keeps connections to its targets open, and asks each again and
 * again whether it is ready. It sends nothing twice, so that what a target loses stays lost.
 */
export class HttpBalancer {
  private readonly agent = new Agent({ keepAlive: true });
  private readonly ended = new AbortController();
  private readonly changes = new EventEmitter<{ answer: [] }>();
  private readonly sockets = new Set<Duplex>();
  private readonly checks: Promise<void>[] = [];
  private readonly targets: Target[] = [];
  private next = 0;

  private constructor(
    readonly url: string,
    private readonly server: Server,
  ) {}

  static async start(targets: readonly string[]): Promise<HttpBalancer> {
    const server = createServer({ keepAliveTimeout: 0 });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const balancer = new HttpBalancer(`http://127.0.0.1:${port}`, server);
    server.on('request', (incoming, outgoing) => balancer.forward(incoming, outgoing));
    server.on('upgrade', (incoming, downstream, head) => balancer.join(incoming, downstream, head));
    await Promise.all(targets.map((target) => balancer.add(target)));
    return balancer;
  }

  /** Resolves when it has been asked for the first time. */
  async add(url: string): Promise<void> {
    const target = { url: new URL(url), isReady: false, answers: 0 };
    this.targets.push(target);
    await this.check(target);
    this.checks.push(this.watch(target));
  }

  remove(url: string): void {
    this.targets.splice(this.targets.indexOf(this.find(url)), 1);
  }

  /** Resolves when a target has given so many more answers. */
  async answered(url: string, count: number): Promise<void> {
    const target = this.find(url);
    const enough = target.answers + count;
    while (target.answers < enough) await once(this.changes, 'answer');
  }

  async close(): Promise<void> {
    this.ended.abort();
    await Promise.all(this.checks);
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
    this.agent.destroy();
    await closed;
  }

  private find(url: string): Target {
    const { origin } = new URL(url);
    const target = this.targets.find((candidate) => candidate.url.origin === origin);
    if (!target) throw new Error(`${url} is not balanced`);
    return target;
  }

  private async watch(target: Target): Promise<void> {
    const { signal } = this.ended;
    while (this.targets.includes(target) && !signal.aborted) {
      await delay(CHECK_INTERVAL_MS, null, { signal }).catch(() => null);
      await this.check(target);
    }
  }

  private async check(target: Target): Promise<void> {
    const { signal } = this.ended;
    const answer = await fetch(`${target.url.origin}/api/v1/health/ready`, { signal }).catch(
      () => null,
    );
    await answer?.arrayBuffer().catch(() => null);
    // A database that stands still for a moment takes all of them away; where nobody is left, the last one stays.
    const others = this.targets.filter((other) => other !== target);
    const isLast = target.isReady && !others.some(({ isReady }) => isReady);
    target.isReady = answer !== null && (answer.ok || isLast);
  }

  private choose(): Target | undefined {
    const ready = this.targets.filter(({ isReady }) => isReady);
    this.next += 1;
    return ready[this.next % ready.length];
  }

  private forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const target = this.choose();
    if (!target) {
      outgoing.writeHead(503).end('Nobody is ready');
      return;
    }
    const upstream = request(new URL(incoming.url!, target.url), {
      agent: this.agent,
      method: incoming.method!,
      headers: endToEnd(incoming.headers),
    });
    upstream.on('error', (error) => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end(String(error));
    });
    upstream.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode!, endToEnd(answer.headers));
      pipeline(answer, outgoing, (error) => {
        if (error) return;
        target.answers += 1;
        this.changes.emit('answer');
      });
    });
    incoming.pipe(upstream);
  }

  /** What becomes a WebSocket is passed on byte by byte. */
  private join(incoming: IncomingMessage, downstream: Duplex, head: Buffer): void {
    const target = this.choose();
    if (!target) {
      downstream.destroy();
      return;
    }
    const upstream = connect(Number(target.url.port), target.url.hostname);
    upstream.write(headOf(incoming));
    upstream.write(head);
    for (const [from, to] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      this.sockets.add(from);
      from.on('close', () => this.sockets.delete(from));
      pipeline(from, to, () => to.destroy());
    }
  }
}

/** Without what is said to the balancer only. */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}

function headOf({ method, url, rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let index = 0; index < rawHeaders.length; index += 2)
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
