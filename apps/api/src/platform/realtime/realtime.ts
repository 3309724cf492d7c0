import { Injectable } from '@nestjs/common';
import type {
  ClientToServerEvents,
  ServerEvent,
  ServerPayload,
  ServerToClientEvents,
} from '@rind/contracts';
import type { Namespace } from 'socket.io';
import { Connections, type RealtimeSocket } from './connections.js';
import type { SocketAuthenticator } from './socket-authenticator.js';

export type RealtimeNamespace = Namespace<
  ClientToServerEvents,
  ServerToClientEvents,
  Record<string, never>,
  RealtimeSocket['data']
>;

export const roomOfUser = (userId: string): string => `user:${userId}`;
export const roomOfSession = (sessionId: string): string => `session:${sessionId}`;

/** What the rest of the server does with sockets. */
@Injectable()
export class Realtime {
  private namespace: RealtimeNamespace | null = null;
  private knownAuthenticator: SocketAuthenticator | null = null;

  constructor(private readonly connections: Connections) {}

  get authenticator(): SocketAuthenticator {
    if (!this.knownAuthenticator) throw new Error('Nobody authenticates sockets');
    return this.knownAuthenticator;
  }

  /** Must be called before the application has started. */
  authenticateBy(authenticator: SocketAuthenticator): void {
    this.knownAuthenticator = authenticator;
  }

  serve(namespace: RealtimeNamespace): void {
    this.namespace = namespace;
  }

  /** Sends an event to all sockets of a user, on every instance, but for those of one session. */
  emit<Event extends ServerEvent>(
    { userId, exceptSessionId }: { userId: string; exceptSessionId: string | null },
    event: Event,
    payload: ServerPayload<Event>,
  ): void {
    const rooms = this.namespace?.to(roomOfUser(userId));
    const receivers =
      exceptSessionId === null ? rooms : rooms?.except(roomOfSession(exceptSessionId));
    receivers?.emit(event, ...([payload] as never));
  }

  /** The same for all sockets of the user that are connected to this instance. */
  emitHere<Event extends ServerEvent>(
    userId: string,
    event: Event,
    payload: ServerPayload<Event>,
  ): void {
    this.namespace?.local.to(roomOfUser(userId)).emit(event, ...([payload] as never));
  }

  /** Users who have sockets here. */
  userIds(): readonly string[] {
    return this.connections.userIds;
  }

  /** Sessions that have sockets here, all or those of one user. */
  sessionIds(userId?: string): readonly string[] {
    if (userId === undefined) return this.connections.sessionIds;
    return [...new Set(this.connections.inUser(userId).map(({ sessionId }) => sessionId))];
  }

  hasSession(sessionId: string): boolean {
    return this.connections.inSession(sessionId).length > 0;
  }

  /** Closes the sockets of sessions that are over, on this instance. */
  endSessions(sessionIds: readonly string[]): void {
    for (const sessionId of sessionIds) {
      for (const connection of this.connections.inSession(sessionId)) connection.endSession();
    }
  }
}
