import { type BeforeApplicationShutdown, Controller, Get, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../errors/domain.error.js';
import { Public } from '../http/public.decorator.js';
import { addressKey } from '../http/client-address.js';
import { enforce } from '../http/rate-limits/enforce.js';
import { RateLimits } from '../http/rate-limits/rate-limits.js';
import { RateLimit } from '../http/rate-limits/rate-limit.decorator.js';
import { RealtimeMetrics } from './realtime-metrics.js';
import { SocketEngine } from './socket-engine.js';

const RETRY_AFTER_SECONDS = 1;

/** Where WebSockets begin. Who connects is asked when the socket wants to join its namespace. */
@ApiExcludeController()
@Controller('socket.io')
@RateLimit('none')
export class HandshakeController implements BeforeApplicationShutdown {
  private isClosing = false;

  constructor(
    private readonly sockets: SocketEngine,
    private readonly rateLimits: RateLimits,
    private readonly metrics: RealtimeMetrics,
  ) {}

  @Get()
  @Public()
  async connect(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const state = await this.rateLimits.consume('handshake', addressKey(request.ip));
    if (state?.isExceeded) this.metrics.countRefusedHandshake('rate_limited');
    enforce(state, reply);
    if (!this.sockets.asksForUpgrade(request)) {
      throw new DomainError('malformed_request', {
        detail: 'This is a Socket.IO server for the transport "websocket" only',
      });
    }
    if (this.isClosing) {
      throw new DomainError('service_unavailable', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    this.sockets.accept(request, reply);
  }

  /** Clients whose sockets are closed now connect again at once: not here. */
  beforeApplicationShutdown(): void {
    this.isClosing = true;
  }
}
