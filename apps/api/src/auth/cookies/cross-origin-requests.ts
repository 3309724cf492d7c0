import { Injectable } from '@nestjs/common';
// What `app.enableCsrfProtection()` decides by. That runs before all hooks: its refusals have neither
// request id nor the headers of other answers, and it looks at requests without cookies, too.
import { evaluateCrossOriginRequest } from '@nestjs/core/security/cross-origin-protection.js';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { TokenCookies } from './token-cookies.js';

/**
 * Browsers add cookies to requests of any page. One that changes something must come from a page of
 * this origin, or of one that is trusted; one without our cookies can do no more than its sender.
 */
@Injectable()
export class CrossOriginRequests {
  private readonly trustsAll: boolean;
  private readonly trustedOrigins: Set<string>;

  constructor(
    @InjectConfig() { http }: Config,
    private readonly cookies: TokenCookies,
  ) {
    this.trustsAll = http.corsOrigins.includes('*');
    this.trustedOrigins = new Set(http.corsOrigins);
  }

  /** @throws DomainError `cross_origin_refused` */
  check(request: FastifyRequest): void {
    if (this.trustsAll || !this.cookies.areCarriedBy(request)) return;
    const { method, headers } = request;
    const { origin, host, 'sec-fetch-site': site } = headers;
    const facts = {
      method,
      ...(site !== undefined && { secFetchSite: String(site) }),
      ...(origin !== undefined && { origin }),
      ...(host !== undefined && { host }),
    };
    const { trustedOrigins } = this;
    if (!evaluateCrossOriginRequest(facts, { trustedOrigins }).allowed)
      throw new DomainError('cross_origin_refused');
  }
}
