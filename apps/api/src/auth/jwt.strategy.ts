import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import jwt from 'jsonwebtoken';
import { ExtractJwt, Strategy, type StrategyOptionsWithRequest } from 'passport-jwt';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import { AccessTokenClaims, TOKEN_AUDIENCE, TOKEN_ISSUER } from './access-tokens.js';
import { PrincipalsService } from './principals.service.js';
import { SigningKeys } from './signing-keys.js';

const bearerToken = ExtractJwt.fromAuthHeaderAsBearerToken();

/** The access token of a request: `Authorization: Bearer` (RFC 6750), and nowhere else. */
export function accessTokenOf(request: FastifyRequest): string | null {
  return bearerToken(request);
}

/** Verifies an access token at its first sight; after that the principal cache answers. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    keys: SigningKeys,
    private readonly principals: PrincipalsService,
  ) {
    const options: StrategyOptionsWithRequest = {
      jwtFromRequest: bearerToken,
      algorithms: ['HS256'],
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      passReqToCallback: true,
      secretOrKeyProvider: (_request, token: string, done) => {
        const key = keys.find(jwt.decode(token, { complete: true })?.header.kid) ?? keys.current;
        // jsonwebtoken takes a KeyObject, which saves building one for each request.
        done(null, key.key as unknown as string);
      },
    };
    super(options);
  }

  async validate(request: FastifyRequest, payload: unknown): Promise<Principal> {
    const claims = AccessTokenClaims.safeParse(payload);
    const token = accessTokenOf(request);
    if (!claims.success || token === null) throw new DomainError('unauthenticated');
    return this.principals.load(token, claims.data);
  }
}
