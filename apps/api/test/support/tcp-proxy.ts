import { EventEmitter } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to connections and their bytes. */
type TcpMode = 'pass' | 'freeze' | 'refuse';

interface TcpProxyEvents {
  connection: [];
  /** Bytes from the API, before PostgreSQL gets them. */
  sent: [bytes: Buffer];
}

/**
 * Stands between the API and PostgreSQL, byte by byte. Frozen, it swallows what both sides send on
 * every connection, for ever, and closes nothing: what a network does that drops a connection's state.
 */
export class TcpProxy extends EventEmitter<TcpProxyEvents> {
  private mode: TcpMode = 'pass';
  private readonly sockets = new Set<Socket>();
  private readonly frozen = new WeakSet<Socket>();

  private constructor(
    /** The given URL, through the proxy. */
    readonly url: string,
    private readonly server: Server,
    private target: URL,
  ) {
    super();
  }

  static async start(targetUrl: string): Promise<TcpProxy> {
    const target = new URL(targetUrl);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = new URL(targetUrl);
    url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const proxy = new TcpProxy(url.href, server, target);
    server.on('connection', (downstream) => proxy.accept(downstream));
    return proxy;
  }

  /** Connections that are open on the side of the API. */
  get openConnections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  /** From now on and for the connections of now; those made later are good again after `pass`. */
  freeze(): void {
    this.mode = 'freeze';
    for (const socket of this.sockets) this.frozen.add(socket);
  }

  /** New connections are closed at once; those of now live on. */
  refuse(): void {
    this.mode = 'refuse';
  }

  pass(): void {
    this.mode = 'pass';
  }

  /** New connections go to another server, e.g. the same one started anew on another port. */
  retarget(url: string): void {
    this.target = new URL(url);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private accept(downstream: Socket): void {
    this.emit('connection');
    if (this.mode === 'refuse') {
      downstream.destroy();
      return;
    }
    const { hostname, port } = this.target;
    const upstream = connect(Number(port || 5432), hostname);
    downstream.on('data', (bytes) => this.emit('sent', bytes));
    this.forward(downstream, upstream);
    this.forward(upstream, downstream);
  }

  private forward(from: Socket, to: Socket): void {
    this.sockets.add(from);
    if (this.mode === 'freeze') this.frozen.add(from);
    from.on('data', (bytes) => {
      if (!this.frozen.has(from)) to.write(bytes);
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.sockets.delete(from);
      if (!this.frozen.has(from)) to.destroy();
    });
  }
}
