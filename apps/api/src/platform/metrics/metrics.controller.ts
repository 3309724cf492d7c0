import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { DomainError } from '../errors/domain.error.js';
import { Public } from '../http/public.decorator.js';
import { RateLimit } from '../http/rate-limits/rate-limit.decorator.js';
import { Metrics } from './metrics.js';
import { METRICS_PATH } from './metrics-path.js';

const BEARER = /^Bearer +(\S+)$/i;

/** For Prometheus, not for clients: beside the API's prefix, and not in its document. */
@ApiExcludeController()
@Controller(METRICS_PATH)
@RateLimit('none')
export class MetricsController {
  private readonly token: Buffer | null;

  constructor(
    private readonly metrics: Metrics,
    @InjectConfig() { metricsToken }: Config,
  ) {
    this.token = metricsToken === null ? null : digestOf(metricsToken);
  }

  @Get()
  @Public()
  async getMetrics(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    this.admit(request);
    reply.header('content-type', this.metrics.contentType);
    return this.metrics.write();
  }

  private admit({ headers }: FastifyRequest): void {
    if (this.token === null) throw new DomainError('not_found');
    const given = BEARER.exec(headers.authorization ?? '')?.[1] ?? '';
    // Digests have one length, and comparing them takes one time: nothing to guess by.
    if (!timingSafeEqual(digestOf(given), this.token)) throw new DomainError('unauthenticated');
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
