import { Injectable, Logger } from '@nestjs/common';
import type { ErrorCode } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestContext } from '../logging/request-context.js';
import { hideSecrets } from '../logging/without-secrets.js';
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

/** More than any route has, ids and all. To no route leads whatever anybody sends, 16 KB of it. */
const MAX_PATH_LENGTH = 200;

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
        path: pathOf(request),
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

function pathOf({ url }: FastifyRequest): string {
  const path = url.split('?', 1)[0]!;
  return hideSecrets(path.length > MAX_PATH_LENGTH ? `${path.slice(0, MAX_PATH_LENGTH)}…` : path);
}
