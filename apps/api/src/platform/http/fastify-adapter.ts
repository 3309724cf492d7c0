import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/config.js';
import { DomainError } from '../errors/domain.error.js';
import { sendProblem } from '../errors/send-problem.js';
import { SocketEngine } from '../realtime/socket-engine.js';

/** Preferences in any script, or two tokens of a provider; strangers may hold as much on each connection. */
const BODY_LIMIT_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
/**
 * For connections on which nothing moves, such as that of a client that does not read its answer: longer
 * than a large pull may wait for its turn and for the database.
 */
const IDLE_TIMEOUT_MS = 180_000;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

type NoteUnreadable = (refusal: DomainError, request: FastifyRequest) => void;

export function createAdapter({ http }: Config, noteUnreadable: NoteUnreadable): FastifyAdapter {
  const { trustProxy } = http;
  return new FastifyAdapter({
    // A hop count is given as a function: Fastify trusts nobody when it is given the number.
    ...(trustProxy !== null && {
      trustProxy:
        typeof trustProxy === 'number'
          ? (_address: string, hop: number) => hop < trustProxy
          : trustProxy,
    }),
    bodyLimit: BODY_LIMIT_BYTES,
    // What still arrives when the process ends is answered as ever, on connections that are closed with it.
    return503OnClosing: false,
    keepAliveTimeout: http.keepAliveMs,
    connectionTimeout: IDLE_TIMEOUT_MS,
    http: {
      shouldUpgradeCallback: SocketEngine.wants,
      headersTimeout: http.requestTimeoutMs,
      // Bodies have a time-out of their own (SlowBodies), which leaves large ones the time they need.
      requestTimeout: 0,
      // How often Node looks for connections on which the head of a request is late.
      connectionsCheckingInterval: Math.min(http.requestTimeoutMs, 5_000),
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    routerOptions: { ignoreTrailingSlash: true },
    // An address that cannot be decoded reaches neither route nor hook.
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const refusal = new DomainError('malformed_request');
      reply.headers({
        'x-request-id': request.id,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        // Nobody reads its body, or waits for the end of it.
        connection: 'close',
      });
      sendProblem(refusal, request, reply);
      noteUnreadable(refusal, request);
    },
    genReqId: ({ headers }: IncomingMessage) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
  });
}
