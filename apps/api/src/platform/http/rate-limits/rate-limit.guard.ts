import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { addressKey } from '../client-address.js';
import { enforce } from './enforce.js';
import { RATE_LIMIT, type RouteBudget } from './rate-limit.decorator.js';
import { type Budget, RateLimits } from './rate-limits.js';

/** Counts each request against its budget. Stands behind authentication, so that users are told apart. */
@Injectable()
export class RateLimitGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly rateLimits: RateLimits,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const routeBudget = this.reflector.getAllAndOverride<RouteBudget | undefined>(RATE_LIMIT, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (routeBudget === 'none') return true;
    const [budget, key] = budgetOf(request, routeBudget);
    const state = await this.rateLimits.consume(budget, key);
    enforce(state, http.getResponse<FastifyReply>());
    return true;
  }
}

/** "Device" is the session: an id that the client chose could be changed to get a new budget. */
function budgetOf(
  { principal, ip }: FastifyRequest,
  routeBudget?: 'auth' | 'sync',
): [Budget, string] {
  if (routeBudget === 'auth') return ['auth', addressKey(ip)];
  if (!principal) return ['anonymous', addressKey(ip)];
  if (routeBudget === 'sync') return ['sync', principal.sessionId];
  return ['user', `${principal.userId}:${principal.sessionId}`];
}
