import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { Realtime } from '../platform/realtime/realtime.js';
import type {
  SocketAuthenticator,
  SocketIdentity,
} from '../platform/realtime/socket-authenticator.js';
import { AccessTokens } from './access-tokens.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { PrincipalsService } from './principals.service.js';

/** Tells sockets who they belong to, by the rules of requests. */
@Injectable()
export class SocketSignIn implements SocketAuthenticator {
  private readonly origins: ReadonlySet<string>;

  constructor(
    @InjectConfig() { http }: Config,
    private readonly cookies: TokenCookies,
    private readonly accessTokens: AccessTokens,
    private readonly principals: PrincipalsService,
    realtime: Realtime,
  ) {
    this.origins = new Set(http.corsOrigins);
    realtime.authenticateBy(this);
  }

  /** @throws DomainError `unauthenticated`; `cross_origin_refused` for the cookie of a foreign page */
  tokenOf(handshake: FastifyRequest, given: string | undefined): string {
    if (given !== undefined) return given;
    const token = this.cookies.accessTokenOf(handshake);
    if (token === null) throw new DomainError('unauthenticated');
    // A page of any origin may open a WebSocket, and the browser adds the cookie; only the origin tells.
    const { origin } = handshake.headers;
    const isTrusted = origin !== undefined && (this.origins.has('*') || this.origins.has(origin));
    if (!isTrusted) throw new DomainError('cross_origin_refused');
    return token;
  }

  /** @throws DomainError `unauthenticated`, `access_token_expired`, `session_ended` */
  async identify(accessToken: string): Promise<SocketIdentity> {
    const claims = this.accessTokens.verify(accessToken);
    if (typeof claims === 'string') throw new DomainError(claims);
    const { principal, expiresAt } = await this.principals.identify(accessToken, claims);
    return { userId: principal.userId, sessionId: principal.sessionId, expiresAt };
  }
}
