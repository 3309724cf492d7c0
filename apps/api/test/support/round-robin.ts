import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A balancer that knows nothing of sessions: each connection goes to the next one of the targets. */
export class RoundRobin {
  private readonly sockets = new Set<Socket>();
  private next = 0;

  private constructor(
    readonly url: string,
    private readonly server: Server,
    private targets: readonly URL[],
  ) {}

  static async start(targets: readonly string[]): Promise<RoundRobin> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const urls = targets.map((target) => new URL(target));
    const balancer = new RoundRobin(`http://127.0.0.1:${port}`, server, urls);
    server.on('connection', (socket) => balancer.accept(socket));
    return balancer;
  }

  add(target: string): void {
    this.targets = [...this.targets, new URL(target)];
  }

  /** As a health check takes a target out. */
  remove(target: string): void {
    this.targets = this.targets.filter(({ origin }) => origin !== new URL(target).origin);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private accept(downstream: Socket): void {
    const { hostname, port } = this.targets[this.next % this.targets.length]!;
    this.next += 1;
    const upstream = connect(Number(port), hostname);
    for (const [from, to] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      this.sockets.add(from);
      from.pipe(to);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }
}
