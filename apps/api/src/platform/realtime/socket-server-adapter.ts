import { IoAdapter } from '@nestjs/platform-socket.io';
import { type Namespace, Server } from 'socket.io';
import type { InstanceLink } from './instance-link.js';
import { PostgresAdapter } from './postgres-adapter.js';
import type { SocketEngine } from './socket-engine.js';

/** Connections without a place in the namespace are closed after this time. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Gives Nest's gateways a Socket.IO server that is fed with upgrades only, and serves no HTTP itself. */
export class SocketServerAdapter extends IoAdapter {
  constructor(
    private readonly sockets: SocketEngine,
    private readonly link: InstanceLink,
  ) {
    super();
  }

  override createIOServer(): Server {
    const { link } = this;
    const server = new Server({
      connectTimeout: CONNECT_TIMEOUT_MS,
      serveClient: false,
      // Socket.IO calls it with `new`.
      adapter: function createAdapter(namespace: Namespace) {
        return new PostgresAdapter(namespace, link);
      },
    });
    server.bind(this.sockets.engine);
    return server;
  }

  override async close(server: Server): Promise<void> {
    await super.close(server);
    this.sockets.endConnections();
  }
}
