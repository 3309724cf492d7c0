import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Notices } from '../platform/database/notices.js';
import type { Principal } from '../platform/http/principal.js';

/** Channel on which triggers announce ended sessions and changed users (see the migrations). */
export const PRINCIPAL_CHANNEL = 'rind_principal';
const MAX_ENTRIES = 20_000;

/** Until when a principal stands behind its token: to the end of token or session. */
export interface KnownPrincipal {
  readonly principal: Principal;
  readonly expiresAt: Date;
}

/**
 * Principals of access tokens that were verified before. An entry is as good as a fresh read,
 * because every change to a session, to a user's activity or roles is announced by PostgreSQL in
 * the transaction that makes it, and entries are used only while announcements are known to arrive.
 */
@Injectable()
export class PrincipalCache {
  private readonly entries = new LRUCache<string, KnownPrincipal>({
    max: MAX_ENTRIES,
    onInsert: ({ principal }, token) => {
      this.tokensOfUser.add(principal.userId, token);
      this.tokensOfSession.add(principal.sessionId, token);
    },
    dispose: ({ principal }, token) => {
      this.tokensOfUser.delete(principal.userId, token);
      this.tokensOfSession.delete(principal.sessionId, token);
    },
  });
  private readonly tokensOfUser = new TokenIndex();
  private readonly tokensOfSession = new TokenIndex();
  private invalidations = 0;

  constructor(private readonly notices: Notices) {
    notices.listenTo(PRINCIPAL_CHANNEL);
    notices.on('notice', (channel, payload) => {
      if (channel === PRINCIPAL_CHANNEL) this.invalidate(payload);
    });
    notices.on('gap', () => this.clear());
  }

  /** To be taken before a principal is read from the database, and given to `store` after. */
  get revision(): number {
    return this.invalidations;
  }

  find(token: string): Principal | undefined {
    return this.findKnown(token)?.principal;
  }

  findKnown(token: string): KnownPrincipal | undefined {
    // Emits 'gap', which empties the cache, when the connection turns out to be dead.
    if (!this.notices.isLive) return undefined;
    const entry = this.entries.get(token);
    return entry && hasExpired(entry) ? undefined : entry;
  }

  /** Does nothing when anything was invalidated since `revision`: the read may be older than that. */
  store(token: string, principal: Principal, options: { revision: number; expiresAt: Date }): void {
    if (!this.notices.isLive || options.revision !== this.invalidations) return;
    this.entries.set(token, { principal, expiresAt: options.expiresAt });
  }

  /**
   * For what this process has just committed: its own announcement comes back a moment later, and
   * the next request must not slip in between.
   */
  forgetUser(userId: string): void {
    this.invalidate(`user:${userId}`);
  }

  private invalidate(payload: string): void {
    this.invalidations += 1;
    const [kind, id = ''] = payload.split(':');
    const index = kind === 'session' ? this.tokensOfSession : this.tokensOfUser;
    for (const token of index.get(id) ?? []) this.entries.delete(token);
  }

  private clear(): void {
    this.invalidations += 1;
    this.entries.clear();
  }
}

/** By the wall clock, as tokens are: the one behind `LRUCache`'s `ttl` stands still while the machine sleeps. */
function hasExpired({ expiresAt }: KnownPrincipal): boolean {
  return expiresAt.getTime() <= Date.now();
}

/** Which tokens belong to an id, so that an announcement costs as much as it ends. */
class TokenIndex {
  private readonly tokens = new Map<string, Set<string>>();

  get(id: string): readonly string[] {
    return [...(this.tokens.get(id) ?? [])];
  }

  add(id: string, token: string): void {
    const tokens = this.tokens.get(id);
    if (tokens) tokens.add(token);
    else this.tokens.set(id, new Set([token]));
  }

  delete(id: string, token: string): void {
    const tokens = this.tokens.get(id);
    tokens?.delete(token);
    if (tokens?.size === 0) this.tokens.delete(id);
  }
}
