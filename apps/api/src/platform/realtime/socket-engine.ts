import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { REALTIME_PATH } from '@rind/contracts';
import { Server as EngineServer, type Socket as EngineSocket } from 'engine.io';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { SocketLimits } from './socket-limits.js';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Those who do not answer a close frame by then are cut off. */
const CLOSING_TIMEOUT_MS = 1_000;

interface Upgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/**
 * Takes over connections that ask to become WebSockets. A handshake is a request like any other until
 * then: it goes through the hooks, so that headers, client address and refusals are those of HTTP.
 */
@Injectable()
export class SocketEngine {
  readonly engine: EngineServer;
  private readonly upgrades = new WeakMap<IncomingMessage, Upgrade>();
  private readonly handshakes = new WeakMap<IncomingMessage, FastifyRequest>();
  private readonly sockets = new Set<Duplex>();

  constructor(@InjectConfig() { realtime }: Config, limits: SocketLimits) {
    this.engine = new EngineServer({
      transports: ['websocket'],
      allowUpgrades: false,
      maxHttpBufferSize: realtime.payloadLimitBytes,
    });
    this.engine.on('connection', (connection: EngineSocket) => limits.watch(connection));
  }

  /**
   * Whether a request may become something else than an answer. Node gives those for which this is
   * true to the listener below; the rest, such as an offer of HTTP/2, is answered as if it had not asked.
   */
  static wants(this: void, { url = '', headers }: IncomingMessage): boolean {
    const path = url.split('?', 1)[0]?.replace(/\/$/, '');
    return path === REALTIME_PATH && headers.upgrade?.toLowerCase() === 'websocket';
  }

  /** Sends upgrades through the routes of the application. */
  route(fastify: FastifyInstance): void {
    fastify.server.on('upgrade', (request, socket: Duplex, head) => {
      socket.on('error', () => undefined);
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.on('finish', () => socket.end());
      response.assignSocket(socket as never);
      this.upgrades.set(request, { socket, head });
      fastify.routing(request, response);
    });
  }

  asksForUpgrade({ raw }: FastifyRequest): boolean {
    return this.upgrades.has(raw);
  }

  /** Makes a WebSocket of the connection that a handshake came on. */
  accept(request: FastifyRequest, reply: FastifyReply): void {
    const upgrade = this.upgrades.get(request.raw);
    if (!upgrade) throw new Error('The request did not ask for an upgrade');
    const { socket, head } = upgrade;
    reply.hijack();
    reply.raw.detachSocket(socket as never);
    this.upgrades.delete(request.raw);
    this.handshakes.set(request.raw, request);
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    this.engine.handleUpgrade(request.raw, socket, head);
  }

  /** The request that a socket began as; once, since nobody needs it after that. */
  takeHandshake(raw: IncomingMessage): FastifyRequest | undefined {
    const handshake = this.handshakes.get(raw);
    this.handshakes.delete(raw);
    return handshake;
  }

  /** For what was closed in the way of WebSockets: the server ends only when its last connection has. */
  endConnections(): void {
    const remaining = [...this.sockets];
    for (const socket of remaining) socket.end();
    setTimeout(() => {
      for (const socket of remaining) socket.destroy();
    }, CLOSING_TIMEOUT_MS).unref();
  }
}
