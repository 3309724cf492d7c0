import { Injectable, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** What its line in the log says beyond what is known of every request; read when the answer is out. */
    logged?: object;
  }
}

/** One line for each answered request. The query is left out: what it carries may be secret. */
@Injectable()
export class RequestLog {
  private readonly logger = new Logger('Requests');

  write(request: FastifyRequest, reply: FastifyReply): void {
    this.logger.log(
      {
        requestId: request.id,
        method: request.method,
        route: request.routeOptions.url ?? null,
        path: request.url.split('?', 1)[0],
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime * 10) / 10,
        bytes: Number(reply.getHeader('content-length') ?? 0),
        ip: request.ip,
        userId: request.principal?.userId ?? null,
        ...request.logged,
      },
      'Request answered',
    );
  }
}
