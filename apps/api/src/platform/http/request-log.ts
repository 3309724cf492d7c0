import { Injectable, Logger } from '@nestjs/common';
import type { ErrorCode } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestContext } from '../logging/request-context.js';
import { plainAddress } from './client-address.js';
import { statusOf } from './status.js';
import { isWatchedRoute } from './watched-routes.js';

declare module 'fastify' {
  interface FastifyRequest {
    logContext: RequestContext;
    /** What its line in the log says beyond what is known of every request; read when the answer is out. */
    logged?: Readonly<Record<string, unknown>> & { readonly problem?: ErrorCode };
  }
}

/** One line for each answered request. The query is left out: what it carries may be secret. */
@Injectable()
export class RequestLog {
  private readonly logger = new Logger('Requests');
  private written = 0;

  /** How many requests were answered. */
  get count(): number {
    return this.written;
  }

  write(request: FastifyRequest, reply: FastifyReply): void {
    this.written += 1;
    const route = request.routeOptions.url;
    const isGoodPoll = reply.statusCode === 200 && isWatchedRoute(route);
    this.logger[isGoodPoll ? 'debug' : 'log'](
      {
        requestId: request.id,
        method: request.method,
        route: route ?? null,
        path: request.url.split('?', 1)[0],
        status: statusOf(reply),
        durationMs: Math.round(reply.elapsedTime * 10) / 10,
        bytes: request.sentBytes ?? 0,
        ip: plainAddress(request.ip),
        userId: request.principal?.userId ?? null,
        ...request.logged,
      },
      'Request answered',
    );
  }
}
