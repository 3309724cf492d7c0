import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import { enforce } from '../platform/http/rate-limits/enforce.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { addressKey } from '../platform/http/client-address.js';
import { AccessTokens } from './access-tokens.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { accessTokenOf } from './jwt.strategy.js';
import { PrincipalsService } from './principals.service.js';

/**
 * Guards run when a body has been read and parsed. Where a body may be large, that is too late to
 * turn strangers away: this looks at the token alone, before the first byte is read.
 */
@Injectable()
export class LargeBodies {
  constructor(
    private readonly accessTokens: AccessTokens,
    private readonly principals: PrincipalsService,
    private readonly rateLimits: RateLimits,
    private readonly cookies: TokenCookies,
  ) {}

  /** @throws DomainError `unauthenticated`, `access_token_expired`, `rate_limited` */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const token = accessTokenOf(request, this.cookies);
    const known = token === null ? undefined : this.principals.findCached(token);
    const session = known?.sessionId ?? this.sessionOf(token);
    if (session instanceof DomainError) {
      enforce(await this.rateLimits.consume('anonymous', addressKey(request.ip)), reply);
      throw session;
    }
    const state = await this.rateLimits.peek('sync', session);
    if (state?.isExceeded) enforce(state, reply);
  }

  private sessionOf(token: string | null): string | DomainError {
    const claims = token === null ? 'unauthenticated' : this.accessTokens.verify(token);
    return typeof claims === 'string' ? new DomainError(claims) : claims.sid;
  }
}
