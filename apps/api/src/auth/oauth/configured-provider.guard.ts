import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { OAuthProviders } from './oauth-providers.js';

/** Answers for providers that are off before anything else of the request is looked at. */
@Injectable()
export class ConfiguredProviderGuard implements CanActivate {
  constructor(private readonly providers: OAuthProviders) {}

  /** @throws DomainError `not_found` */
  canActivate(context: ExecutionContext): boolean {
    const { params } = context
      .switchToHttp()
      .getRequest<FastifyRequest<{ Params: { provider: string } }>>();
    this.providers.get(params.provider);
    return true;
  }
}
