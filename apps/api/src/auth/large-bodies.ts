import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import { enforce } from '../platform/http/rate-limits/enforce.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { addressKey } from '../platform/http/client-address.js';
import { AccessTokens } from './access-tokens.js';
import { accessTokenOf } from './jwt.strategy.js';

/**
 * Guards run when a body has been read and parsed. Where a body may be large, that is too late to
 * turn strangers away: this looks at the token alone, before the first byte is read.
 */
@Injectable()
export class LargeBodies {
  constructor(
    private readonly accessTokens: AccessTokens,
    private readonly rateLimits: RateLimits,
  ) {}

  /** @throws DomainError `unauthenticated`, `access_token_expired`, `rate_limited` */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const token = accessTokenOf(request);
    const claims = token === null ? 'unauthenticated' : this.accessTokens.verify(token);
    if (typeof claims === 'string') {
      enforce(await this.rateLimits.consume('anonymous', addressKey(request.ip)), reply);
      throw new DomainError(claims);
    }
    const state = await this.rateLimits.peek('sync', claims.sid);
    if (state?.isExceeded) enforce(state, reply);
  }
}
