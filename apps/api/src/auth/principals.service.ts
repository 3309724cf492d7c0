import { Injectable } from '@nestjs/common';
import { DomainError } from '../platform/errors/domain.error.js';
import type { Principal } from '../platform/http/principal.js';
import type { AccessTokenClaims } from './access-tokens.js';
import { type KnownPrincipal, PrincipalCache } from './principal-cache.js';
import { SessionsRepository } from './sessions.repository.js';

@Injectable()
export class PrincipalsService {
  constructor(
    private readonly cache: PrincipalCache,
    private readonly sessions: SessionsRepository,
  ) {}

  findCached(token: string): Principal | undefined {
    return this.cache.find(token);
  }

  /** For a principal whose session turned out to have ended, and for a user who was just changed. */
  forget({ userId }: Pick<Principal, 'userId'>): void {
    this.cache.forgetUser(userId);
  }

  /**
   * The principal of a token whose signature and times have been verified, as the database has it now.
   *
   * @throws DomainError `session_ended`
   */
  async load(token: string, claims: AccessTokenClaims): Promise<Principal> {
    return (await this.read(token, claims)).principal;
  }

  /** The same, from the cache where that is as good; with the time at which it ends. */
  async identify(token: string, claims: AccessTokenClaims): Promise<KnownPrincipal> {
    return this.cache.findKnown(token) ?? (await this.read(token, claims));
  }

  private async read(token: string, claims: AccessTokenClaims): Promise<KnownPrincipal> {
    const { revision } = this.cache;
    const { sub: userId, sid: sessionId, rtc } = claims;
    const row = await this.sessions.findPrincipal(userId, sessionId, rtc);
    if (!row) throw new DomainError('session_ended');
    // The access token arrived, so the refresh token that came in the same answer did, too.
    if (!row.isConfirmed) await this.sessions.confirm(sessionId, rtc);
    const principal: Principal = { userId, sessionId, roles: row.roles };
    const expiresAt = new Date(Math.min(claims.exp * 1000, row.expiresAt.getTime()));
    this.cache.store(token, principal, { revision, expiresAt });
    return { principal, expiresAt };
  }
}
