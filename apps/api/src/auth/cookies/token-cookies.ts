import { Injectable } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
// The parser behind Nest's `@Cookies()`, for those who ask before a handler is called.
import { getRequestCookie } from '@nestjs/core/helpers/cookies/request-cookies.js';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { GLOBAL_PREFIX } from '../../platform/http/global-prefix.js';

/** `__Host-` (RFC 6265bis): set by this host over HTTPS, and by no neighbour on another subdomain. */
export const ACCESS_COOKIE = '__Host-rind_access';

interface CookieKind {
  readonly name: string;
  /** Where browsers do not take the prefix: over plain HTTP. */
  readonly plainName: string;
  readonly path: string;
}

const ACCESS: CookieKind = { name: ACCESS_COOKIE, plainName: 'rind_access', path: '/' };
/** Goes nowhere but to where it is needed; `__Host-` would make it go with every request. */
const REFRESH: CookieKind = {
  name: '__Secure-rind_refresh',
  plainName: 'rind_refresh',
  path: `/${GLOBAL_PREFIX}/auth`,
};

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly sessionExpiresAt: Date;
}

/** Tokens in cookies that scripts cannot read. A request with an `Authorization` header has none. */
@Injectable()
export class TokenCookies {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly host: HttpAdapterHost<AbstractHttpAdapter>,
  ) {}

  accessTokenOf(request: FastifyRequest): string | null {
    return this.read(ACCESS, request);
  }

  refreshTokenOf(request: FastifyRequest): string | null {
    return this.read(REFRESH, request);
  }

  areCarriedBy(request: FastifyRequest): boolean {
    return this.accessTokenOf(request) !== null || this.refreshTokenOf(request) !== null;
  }

  /** Both last as long as the session: an access token past its time is told from one that is missing. */
  set(request: FastifyRequest, reply: FastifyReply, tokens: Tokens): void {
    const lifetimeMs = tokens.sessionExpiresAt.getTime() - Date.now();
    const maxAge = Math.max(0, Math.floor(lifetimeMs / 1000));
    this.write(ACCESS, request, reply, { value: tokens.accessToken, maxAge });
    this.write(REFRESH, request, reply, { value: tokens.refreshToken, maxAge });
  }

  /** Where the request has some: what happens to a bearer's session is no concern of theirs. */
  clear(request: FastifyRequest, reply: FastifyReply): void {
    if (!this.areCarriedBy(request)) return;
    for (const kind of [ACCESS, REFRESH])
      this.write(kind, request, reply, { value: '', maxAge: 0 });
  }

  private read(kind: CookieKind, request: FastifyRequest): string | null {
    if (request.headers.authorization !== undefined) return null;
    return getRequestCookie(request, this.nameOf(kind, request)) || null;
  }

  private write(
    kind: CookieKind,
    request: FastifyRequest,
    reply: FastifyReply,
    { value, maxAge }: { value: string; maxAge: number },
  ): void {
    this.host.httpAdapter.setCookie(reply, this.nameOf(kind, request), value, {
      path: kind.path,
      maxAge,
      httpOnly: true,
      sameSite: 'lax',
      secure: !this.isPlain(request),
    });
  }

  private nameOf({ name, plainName }: CookieKind, request: FastifyRequest): string {
    return this.isPlain(request) ? plainName : name;
  }

  /** Not every browser keeps `Secure` cookies of `http://localhost`. */
  private isPlain({ protocol, hostname }: FastifyRequest): boolean {
    return (
      this.config.environment === 'development' && protocol === 'http' && hostname === 'localhost'
    );
  }
}
