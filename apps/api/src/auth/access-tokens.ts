import { Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { SigningKeys } from './signing-keys.js';

export const TOKEN_ISSUER = 'rind';
export const TOKEN_AUDIENCE = 'rind';

/** Claims of a verified access token (RFC 7519); `sid` is the session, `rtc` the counter of the refresh token issued with it. */
export const AccessTokenClaims = z.object({
  sub: z.uuid(),
  sid: z.uuid(),
  rtc: z.int(),
  exp: z.int(),
});
export type AccessTokenClaims = z.infer<typeof AccessTokenClaims>;

export interface AccessToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** Access tokens: JWT, HS256. Who they stand for right now is for Passport's strategy to find out. */
@Injectable()
export class AccessTokens {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly keys: SigningKeys,
  ) {}

  issue(subject: { userId: string; sessionId: string; refreshCounter: number }): AccessToken {
    const { id, key } = this.keys.current;
    const issuedAt = Math.floor(Date.now() / 1000);
    const expiresAt = issuedAt + this.config.auth.accessTokenTtlSeconds;
    const token = jwt.sign(
      { sid: subject.sessionId, rtc: subject.refreshCounter, iat: issuedAt, exp: expiresAt },
      key,
      {
        algorithm: 'HS256',
        keyid: id,
        subject: subject.userId,
        issuer: TOKEN_ISSUER,
        audience: TOKEN_AUDIENCE,
      },
    );
    return { token, expiresAt: new Date(expiresAt * 1000) };
  }

  /** The claims of a genuine token that has not expired; else the code of the refusal. Asks no database. */
  verify(token: string): AccessTokenClaims | 'unauthenticated' | 'access_token_expired' {
    try {
      const payload = jwt.verify(token, this.keys.keyOf(token), {
        algorithms: ['HS256'],
        issuer: TOKEN_ISSUER,
        audience: TOKEN_AUDIENCE,
      });
      const claims = AccessTokenClaims.safeParse(payload);
      return claims.success ? claims.data : 'unauthenticated';
    } catch (error) {
      return error instanceof jwt.TokenExpiredError ? 'access_token_expired' : 'unauthenticated';
    }
  }
}
