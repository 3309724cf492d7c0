import { Controller, Get, HttpStatus, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { HealthLive, HealthReady } from '@rind/contracts';
import type { FastifyReply } from 'fastify';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { Public } from '../platform/http/public.decorator.js';
import { RateLimit } from '../platform/http/rate-limits/rate-limit.decorator.js';
import { HealthService } from './health.service.js';

@ApiTags('health')
@Controller('health')
@RateLimit('none')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get()
  @Public()
  @ApiRoute({
    operationId: 'getHealth',
    summary: 'Whether the process is alive; the same as `/health/live`',
    answers: [{ status: 200, description: 'Alive', schema: HealthLive }],
  })
  getHealth(): HealthLive {
    return this.health.live();
  }

  @Get('live')
  @Public()
  @ApiRoute({
    operationId: 'getLive',
    summary: 'Whether the process is alive',
    answers: [{ status: 200, description: 'Alive', schema: HealthLive }],
  })
  getLive(): HealthLive {
    return this.health.live();
  }

  @Get('ready')
  @Public()
  @ApiRoute({
    operationId: 'getReady',
    summary: 'Whether requests can be served',
    answers: [
      { status: 200, description: 'Ready', schema: HealthReady },
      { status: 503, description: 'Not ready', schema: HealthReady },
    ],
  })
  async getReady(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthReady> {
    const ready = await this.health.ready();
    if (ready.status === 'unavailable') reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return ready;
  }
}
