import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { enforce } from '../platform/http/rate-limits/enforce.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { addressKey } from '../platform/http/client-address.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { AccessTokens } from './access-tokens.js';
import { BodyBudget, type Reservation } from './body-budget.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { accessTokenOf } from './jwt.strategy.js';
import { PrincipalsService } from './principals.service.js';

/** Whom a token names. */
type Sender = Pick<Principal, 'userId' | 'sessionId'>;

/**
 * Guards run when a body has been read and parsed. Where a body may be large, that is too late to
 * turn strangers away: this looks at the token alone, before the first byte is read. And whoever sends
 * only the beginning of a body holds memory for as long as it lasts: that is counted beforehand.
 */
@Injectable()
export class LargeBodies {
  private readonly limitBytes: number;
  private readonly budget: BodyBudget;
  private readonly reservations = new WeakMap<FastifyRequest, Reservation>();

  constructor(
    @InjectConfig() { sync }: Config,
    private readonly accessTokens: AccessTokens,
    private readonly principals: PrincipalsService,
    private readonly rateLimits: RateLimits,
    private readonly cookies: TokenCookies,
  ) {
    this.limitBytes = sync.bodyLimitBytes;
    this.budget = new BodyBudget({
      perUser: 2 * sync.bodyLimitBytes,
      inAll: sync.bodiesLimitBytes,
    });
  }

  /**
   * @throws DomainError `unauthenticated`, `access_token_expired`, `rate_limited`,
   *   `service_unavailable`
   */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const token = accessTokenOf(request, this.cookies);
    const known = token === null ? undefined : this.principals.findCached(token);
    const sender = known ?? this.senderOf(token);
    if (sender instanceof DomainError) {
      enforce(await this.rateLimits.consume('anonymous', addressKey(request.ip)), reply);
      throw sender;
    }
    const state = await this.rateLimits.peek('sync', sender.sessionId);
    if (state?.isExceeded) enforce(state, reply);
    this.reserve(sender.userId, request, reply);
  }

  /** @throws DomainError as `admit`, for a body that was packed and is larger than it seemed */
  unpacked(request: FastifyRequest, bytes: number): void {
    this.reservations.get(request)?.growTo(bytes);
  }

  /** The body is in memory until the work on it has ended, whether or not somebody waits for the answer. */
  async during<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
    const reservation = this.reservations.get(request);
    this.reservations.delete(request);
    try {
      return await work();
    } finally {
      reservation?.giveBack();
    }
  }

  private reserve(userId: string, request: FastifyRequest, reply: FastifyReply): void {
    // Without a length it may become as large as any.
    const length = Number(request.headers['content-length'] ?? this.limitBytes);
    // One that is too large is refused unread.
    if (length > this.limitBytes || reply.raw.closed) return;
    const reservation = this.budget.reserve(userId, length);
    this.reservations.set(request, reservation);
    reply.raw.once('close', () => this.reservations.get(request)?.giveBack());
  }

  private senderOf(token: string | null): Sender | DomainError {
    const claims = token === null ? 'unauthenticated' : this.accessTokens.verify(token);
    return typeof claims === 'string'
      ? new DomainError(claims)
      : { userId: claims.sub, sessionId: claims.sid };
  }
}
