import { Injectable, Logger } from '@nestjs/common';
import type { ErrorCode } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Counter } from 'prom-client';
import type { RequestContext } from '../logging/request-context.js';
import { Metrics } from '../metrics/metrics.js';
import { plainAddress } from './client-address.js';

declare module 'fastify' {
  interface FastifyRequest {
    logContext: RequestContext;
    /** What its line in the log says beyond what is known of every request; read when the answer is out. */
    logged?: Readonly<Record<string, unknown>> & { readonly problem?: ErrorCode };
  }
}

/** One line for each answered request, and a count of those that were refused. The query is left out: what it carries may be secret. */
@Injectable()
export class RequestLog {
  private readonly logger = new Logger('Requests');
  private readonly problems: Counter<'code'>;

  constructor(metrics: Metrics) {
    this.problems = metrics.counter({
      name: 'rind_problems_total',
      help: 'Requests that were answered with a problem, by its code',
      labelNames: ['code'],
    });
  }

  write(request: FastifyRequest, reply: FastifyReply): void {
    const code = request.logged?.problem;
    if (code) this.problems.inc({ code });
    this.logger.log(
      {
        requestId: request.id,
        method: request.method,
        route: request.routeOptions.url ?? null,
        path: request.url.split('?', 1)[0],
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime * 10) / 10,
        bytes: Number(reply.getHeader('content-length') ?? 0),
        ip: plainAddress(request.ip),
        userId: request.principal?.userId ?? null,
        ...request.logged,
      },
      'Request answered',
    );
  }
}
