import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Strategy, type StrategyOptionsWithRequest } from 'passport-jwt';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { AccessTokenClaims, TOKEN_AUDIENCE, TOKEN_ISSUER } from './access-tokens.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { PrincipalsService } from './principals.service.js';
import { SigningKeys } from './signing-keys.js';

/** RFC 6750, section 2.1. passport-jwt's own extractor ignores what follows the token. */
const BEARER = /^Bearer +([\w.~+/-]+=*)$/i;

/** The access token of a request: `Authorization: Bearer` (RFC 6750); without that header, the cookie. */
export function accessTokenOf(request: FastifyRequest, cookies: TokenCookies): string | null {
  const { authorization } = request.headers;
  if (authorization === undefined) return cookies.accessTokenOf(request);
  return BEARER.exec(authorization)?.[1] ?? null;
}

/**
 * Passport has one registry per process: under one name, two applications in it, as in tests of
 * several instances, would both ask the strategy of the later one.
 */
class NamedStrategy extends Strategy {
  override name = `jwt:${randomUUID()}`;
}

/** Verifies an access token at its first sight; after that the principal cache answers. */
@Injectable()
export class JwtStrategy extends PassportStrategy(NamedStrategy) {
  constructor(
    keys: SigningKeys,
    private readonly principals: PrincipalsService,
    private readonly cookies: TokenCookies,
  ) {
    const options: StrategyOptionsWithRequest = {
      jwtFromRequest: (request: FastifyRequest) => accessTokenOf(request, cookies),
      algorithms: ['HS256'],
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      passReqToCallback: true,
      secretOrKeyProvider: (_request, token: string, done) => {
        // jsonwebtoken takes a KeyObject, which saves building one for each request.
        done(null, keys.keyOf(token) as unknown as string);
      },
    };
    super(options);
  }

  async validate(request: FastifyRequest, payload: unknown): Promise<Principal> {
    const claims = AccessTokenClaims.safeParse(payload);
    const token = accessTokenOf(request, this.cookies);
    if (!claims.success || token === null) throw new DomainError('unauthenticated');
    return this.principals.load(token, claims.data);
  }
}
