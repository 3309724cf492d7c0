import { Logger } from '@nestjs/common';
import { type OnGatewayConnection, type OnGatewayInit, WebSocketGateway } from '@nestjs/websockets';
import { HandshakeAuth, type HandshakeRefusal, REALTIME_NAMESPACE } from '@rind/contracts';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { DomainError } from '../errors/domain.error.js';
import { plainAddress } from '../http/client-address.js';
import { ClientEvents } from './client-events.js';
import { Connections, type RealtimeSocket } from './connections.js';
import { Realtime, type RealtimeNamespace, roomOfSession, roomOfUser } from './realtime.js';
import { RealtimeMetrics } from './realtime-metrics.js';
import { SocketEngine } from './socket-engine.js';
import { refusalOf } from './socket-refusal.js';

type Next = (refusal?: Error & { data: HandshakeRefusal }) => void;

/** Lets sockets of signed-in users join, and hands on what they send. */
@WebSocketGateway({ namespace: REALTIME_NAMESPACE })
export class RealtimeGateway
  implements OnGatewayInit<RealtimeNamespace>, OnGatewayConnection<RealtimeSocket>
{
  private readonly logger = new Logger(RealtimeGateway.name);
  private readonly connectionsPerUser: number;

  constructor(
    private readonly realtime: Realtime,
    private readonly connections: Connections,
    private readonly events: ClientEvents,
    private readonly engine: SocketEngine,
    private readonly metrics: RealtimeMetrics,
    @InjectConfig() { realtime: { connectionsPerUser } }: Config,
  ) {
    this.connectionsPerUser = connectionsPerUser;
  }

  afterInit(namespace: RealtimeNamespace): void {
    this.realtime.serve(namespace);
    namespace.use((socket, next) => void this.receive(socket, next));
    // Else everybody could join the root namespace of a Socket.IO server, and stay.
    namespace.server
      .of('/')
      .use((socket, next) => refuse(socket, next, new DomainError('not_found')));
  }

  handleConnection(socket: RealtimeSocket): void {
    const { connection } = socket.data;
    if (!connection) return;
    // One connection serves one socket: nobody stays on it unseen.
    socket.once('disconnect', () => socket.conn.close());
    this.metrics.countAcceptedHandshake();
    socket.onAnyOutgoing((event: string, payload: unknown) =>
      this.metrics.countEvent(event, payload),
    );
    socket.use((packet) => void this.events.answer(connection, packet));
    connection.endIfOver();
  }

  private async receive(socket: RealtimeSocket, next: Next): Promise<void> {
    try {
      await this.admit(socket);
      next();
    } catch (error) {
      const refusal = refusalOf(error, this.logger);
      this.metrics.countRefusedHandshake(refusal.code);
      refuse(socket, next, refusal);
    }
  }

  /** @throws DomainError what a request with the same token would be refused with */
  private async admit(socket: RealtimeSocket): Promise<void> {
    const handshake = this.engine.takeHandshake(socket.request);
    const auth = HandshakeAuth.safeParse(socket.handshake.auth);
    // One try for each connection, so that connections are what has to be limited.
    if (!handshake || !auth.success) throw new DomainError('unauthenticated');
    const { authenticator } = this.realtime;
    const token = authenticator.tokenOf(handshake, auth.data.token);
    const identity = await authenticator.identify(token);
    // Socket.IO drops it by itself. Here it would stay: nobody hears of its end any more.
    if (socket.conn.readyState !== 'open') return;
    if (this.connections.inUser(identity.userId).length >= this.connectionsPerUser)
      throw new DomainError('too_many_connections');
    const connection = this.connections.add(socket, identity);
    socket.conn.once('close', () => this.connections.remove(connection));
    socket.data.connection = connection;
    await socket.join([roomOfUser(connection.userId), roomOfSession(connection.sessionId)]);
    // What ended before it was added was announced when nobody here listened for it.
    await authenticator.identify(token);
    const { userId, sessionId } = connection;
    const ip = plainAddress(handshake.ip);
    this.logger.log({ requestId: handshake.id, ip, userId, sessionId }, 'Socket connected');
  }
}

function refuse({ conn }: Pick<RealtimeSocket, 'conn'>, next: Next, { code }: DomainError): void {
  next(Object.assign(new Error(code), { data: { code } satisfies HandshakeRefusal }));
  // The refusal is on its way when the next turn of the event loop begins.
  setImmediate(() => conn.close());
}
