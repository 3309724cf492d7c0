import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { InstanceLink } from './instance-link.js';
import { SocketEngine } from './socket-engine.js';
import { SocketServerAdapter } from './socket-server-adapter.js';

export function serveSockets(app: NestFastifyApplication): void {
  const sockets = app.get(SocketEngine);
  app.useWebSocketAdapter(new SocketServerAdapter(sockets, app.get(InstanceLink)));
  sockets.route(app.getHttpAdapter().getInstance());
}
