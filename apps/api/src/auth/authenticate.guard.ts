import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import jwt from 'jsonwebtoken';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { IS_PUBLIC } from '../platform/http/public.decorator.js';
import { RATE_LIMIT, type RouteBudget } from '../platform/http/rate-limits/rate-limit.decorator.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { accessTokenOf, JwtStrategy } from './jwt.strategy.js';
import { PrincipalsService } from './principals.service.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Why an access token was refused; the authorisation guard answers with it. */
    authenticationError?: Error;
  }
}

/**
 * Finds out who sends a request, and refuses nobody: the rate limit counts the request first, and
 * the authorisation guard behind it decides whether the route needs a principal.
 */
@Injectable()
export class AuthenticateGuard extends AuthGuard() {
  constructor(
    private readonly principals: PrincipalsService,
    private readonly reflector: Reflector,
    private readonly cookies: TokenCookies,
    strategy: JwtStrategy,
  ) {
    super({ session: false, property: 'principal', defaultStrategy: strategy.name });
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const token = accessTokenOf(request, this.cookies);
    if (token === null || this.isForAnybody(context)) return true;
    request.principal = this.principals.findCached(token) ?? null;
    return request.principal !== null || Boolean(await super.canActivate(context));
  }

  /** Health must not depend on the database because a probe sends a token. */
  private isForAnybody(context: ExecutionContext): boolean {
    const places = [context.getHandler(), context.getClass()];
    return (
      this.reflector.getAllAndOverride<boolean | undefined>(IS_PUBLIC, places) === true &&
      this.reflector.getAllAndOverride<RouteBudget | undefined>(RATE_LIMIT, places) === 'none'
    );
  }

  override handleRequest<T = Principal | null>(
    error: unknown,
    principal: Principal | false,
    info: unknown,
    context: ExecutionContext,
  ): T {
    if (!principal) {
      const request = context.switchToHttp().getRequest<FastifyRequest>();
      request.authenticationError = error instanceof Error ? error : refusalOf(info);
    }
    return (principal || null) as T;
  }
}

function refusalOf(info: unknown): DomainError {
  return new DomainError(
    info instanceof jwt.TokenExpiredError ? 'access_token_expired' : 'unauthenticated',
  );
}
