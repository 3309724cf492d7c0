import { Injectable } from '@nestjs/common';
import type { ClientToServerEvents, ServerToClientEvents } from '@rind/contracts';
import type { Socket } from 'socket.io';
import { Clock } from '../clock/clock.js';
import type { SocketIdentity } from './socket-authenticator.js';

export type RealtimeSocket = Socket<
  ClientToServerEvents,
  ServerToClientEvents,
  Record<string, never>,
  { connection?: Connection }
>;

/** One socket of a signed-in user. Lives as long as its access token unless that is renewed. */
export class Connection {
  readonly userId: string;
  readonly sessionId: string;
  private expiresAtMs = 0;
  private timer: unknown;
  private hasSessionEnded = false;
  private isForgotten = false;

  constructor(
    readonly socket: RealtimeSocket,
    identity: SocketIdentity,
    private readonly clock: Clock,
  ) {
    this.userId = identity.userId;
    this.sessionId = identity.sessionId;
    this.extendTo(identity.expiresAt);
  }

  get expiresAt(): Date {
    return new Date(this.expiresAtMs);
  }

  extendTo(expiresAt: Date): void {
    this.expiresAtMs = Math.max(this.expiresAtMs, expiresAt.getTime());
    this.arm();
  }

  /** Tells the client that it has to sign in again. A socket that is still joining is told when it has. */
  endSession(): void {
    this.hasSessionEnded = true;
    this.endIfOver();
  }

  /** To be called when the socket has joined: what ended meanwhile could not be told before. */
  endIfOver(): void {
    if (this.hasSessionEnded && this.socket.connected) {
      this.socket.emit('session:ended', { code: 'session_ended' });
      this.socket.disconnect(true);
    } else this.arm();
  }

  forget(): void {
    this.isForgotten = true;
    this.clock.clearTimeout(this.timer);
  }

  private arm(): void {
    this.clock.clearTimeout(this.timer);
    // It may have closed while the token that renews it was looked up.
    if (this.isForgotten) return;
    const remainingMs = this.expiresAtMs - this.clock.now();
    if (remainingMs <= 0) this.socket.disconnect(true);
    // Asks again: timers stand still while the machine sleeps, and may be early.
    else this.timer = this.clock.setTimeout(() => this.arm(), remainingMs);
  }
}

/** The sockets of this process, by what may end them. */
@Injectable()
export class Connections {
  private readonly ofSession = new Map<string, Set<Connection>>();
  private readonly ofUser = new Map<string, Set<Connection>>();

  constructor(private readonly clock: Clock) {}

  add(socket: RealtimeSocket, identity: SocketIdentity): Connection {
    const connection = new Connection(socket, identity, this.clock);
    insert(this.ofSession, connection.sessionId, connection);
    insert(this.ofUser, connection.userId, connection);
    return connection;
  }

  remove(connection: Connection): void {
    connection.forget();
    withdraw(this.ofSession, connection.sessionId, connection);
    withdraw(this.ofUser, connection.userId, connection);
  }

  inSession(sessionId: string): readonly Connection[] {
    return [...(this.ofSession.get(sessionId) ?? [])];
  }

  inUser(userId: string): readonly Connection[] {
    return [...(this.ofUser.get(userId) ?? [])];
  }

  get size(): number {
    return [...this.ofUser.values()].reduce((sum, { size }) => sum + size, 0);
  }

  get userIds(): readonly string[] {
    return [...this.ofUser.keys()];
  }

  get sessionIds(): readonly string[] {
    return [...this.ofSession.keys()];
  }
}

function insert(index: Map<string, Set<Connection>>, key: string, connection: Connection): void {
  const found = index.get(key);
  if (found) found.add(connection);
  else index.set(key, new Set([connection]));
}

function withdraw(index: Map<string, Set<Connection>>, key: string, connection: Connection): void {
  const found = index.get(key);
  found?.delete(connection);
  if (found?.size === 0) index.delete(key);
}
