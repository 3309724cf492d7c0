import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { BodyBudget, type Reservation } from '../platform/http/body-budget.js';
import { unpack } from '../platform/http/packed-bodies.js';
import { enforce } from '../platform/http/rate-limits/enforce.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { addressKey } from '../platform/http/client-address.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { AccessTokens } from './access-tokens.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { accessTokenOf } from './jwt.strategy.js';
import { PrincipalsService } from './principals.service.js';

/** Whom a token names. */
type Sender = Pick<Principal, 'userId' | 'sessionId'>;

/**
 * Guards run when a body has been read and parsed. Where a body may be large, that is too late to
 * turn strangers away: this looks at the token alone, before the first byte is read, and takes the
 * request from its budget, so that also those count that turn out to be no JSON. Memory is counted
 * as it fills, byte by byte unpacked, until the answer is ready.
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
   * Before the body is read.
   *
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
    enforce(await this.rateLimits.consume('sync', sender.sessionId), reply);
    // Whoever finds no room now need not send all of it to hear so. One that is too large is refused unread.
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced <= this.limitBytes) this.budget.requireRoom(sender.userId, announced);
    this.reservations.set(request, this.budget.reserve(sender.userId));
  }

  /** The body as it comes, unpacked; each byte of it is counted before it is kept. */
  read(request: FastifyRequest, payload: Readable): Readable {
    const reservation = this.reservations.get(request);
    return unpack(payload, request, (bytes) => reservation?.growTo(bytes));
  }

  /** When an answer is ready: one that no work has led to, such as to what is no JSON. */
  release(request: FastifyRequest): void {
    this.reservations.get(request)?.giveBack();
    this.reservations.delete(request);
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

  private senderOf(token: string | null): Sender | DomainError {
    const claims = token === null ? 'unauthenticated' : this.accessTokens.verify(token);
    return typeof claims === 'string'
      ? new DomainError(claims)
      : { userId: claims.sub, sessionId: claims.sid };
  }
}
