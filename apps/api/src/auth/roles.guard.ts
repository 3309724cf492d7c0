import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Role } from '@rind/contracts';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import { ROLES } from '../platform/http/roles.decorator.js';

/** Lets only callers with the right role through to routes marked `@Roles()`. */
@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const roles = this.reflector.getAllAndOverride<readonly Role[] | undefined>(ROLES, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (!roles) return true;
    const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
    if (roles.some((role) => principal?.roles.includes(role))) return true;
    throw new DomainError('forbidden');
  }
}
