import { IoAdapter } from '@nestjs/platform-socket.io';
import { Server } from 'socket.io';
import type { SocketEngine } from './socket-engine.js';

/** Connections without a place in the namespace are closed after this time. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Gives Nest's gateways a Socket.IO server that is fed with upgrades only, and serves no HTTP itself. */
export class SocketServerAdapter extends IoAdapter {
  constructor(private readonly sockets: SocketEngine) {
    super();
  }

  override createIOServer(): Server {
    const server = new Server({ connectTimeout: CONNECT_TIMEOUT_MS, serveClient: false });
    server.bind(this.sockets.engine);
    return server;
  }

  override async close(server: Server): Promise<void> {
    await super.close(server);
    this.sockets.endConnections();
  }
}
