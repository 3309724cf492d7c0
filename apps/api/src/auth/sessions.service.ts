import { randomBytes } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import type { Device } from '@rind/contracts';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { PrincipalCache } from './principal-cache.js';
import { RefreshTokens, type ParsedRefreshToken } from './refresh-tokens.js';
import {
  type RefreshableSession,
  type SessionRow,
  SessionsRepository,
} from './sessions.repository.js';

/** A session with its current refresh token. */
export interface OpenSession {
  readonly session: SessionRow;
  readonly refreshToken: string;
}

const SALT_BYTES = 16;

const RECENT_MINUTES = 10;

/** The row of a session changes under a refresh only when another refresh of it wins; so few tries are enough. */
const MAX_REFRESH_ATTEMPTS = 10;

/** One session per signed-in device, kept alive by rotating refresh tokens. */
@Injectable()
export class SessionsService {
  private readonly logger = new Logger(SessionsService.name);

  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly database: Database,
    private readonly sessions: SessionsRepository,
    private readonly refreshTokens: RefreshTokens,
    private readonly rateLimits: RateLimits,
    private readonly principals: PrincipalCache,
  ) {}

  /** Signs a device in; replaces its earlier session. Joins a current transaction. */
  async open(userId: string, device: Device | undefined, client: ClientInfo): Promise<OpenSession> {
    return this.database.transaction(async () => {
      const user = await this.sessions.lockUser(userId);
      if (!user) throw new DomainError('invalid_credentials');
      if (!user.isActive) throw new DomainError('account_deactivated');
      if (device) await this.sessions.deleteOfDevice(userId, device.id);
      const session = await this.sessions.create({
        userId,
        device,
        client,
        refreshSalt: randomBytes(SALT_BYTES),
        refreshKeyId: this.refreshTokens.currentKeyId,
        lifetimeDays: this.lifetime.ttlDays,
        now: user.now,
      });
      await this.sessions.deleteBeyond(session, this.config.auth.sessionLimit);
      this.database.afterCommit(() => this.principals.forgetUser(userId));
      return this.opened(session);
    });
  }

  /**
   * Rotates the refresh token. A lost answer never signs a device out: the token before the current
   * one gets the current one again, until the current one has been seen in use.
   *
   * @throws DomainError `refresh_token_invalid`; `refresh_token_reused`, the session then ended;
   *   `rate_limited`
   */
  async refresh(token: string, client: ClientInfo): Promise<OpenSession> {
    const presented = this.refreshTokens.parse(token);
    if (!presented) throw new DomainError('refresh_token_invalid');
    let session = await this.findGenuine(presented);
    // Behind the check, so that nobody else can use up the budget of a session.
    const limit = await this.rateLimits.consume('refresh', session.id);
    if (limit?.isExceeded) {
      throw new DomainError('rate_limited', { retryAfterSeconds: limit.resetSeconds });
    }
    for (let attempt = 0; attempt < MAX_REFRESH_ATTEMPTS; attempt += 1) {
      const opened = await this.attemptRefresh(presented, session, client);
      if (opened) return opened;
      session = await this.findGenuine(presented);
    }
    throw new DomainError('service_unavailable', { retryAfterSeconds: 1 });
  }

  /** Whether the session was opened by a sign-in of the last 10 minutes. */
  async isRecent({ sessionId }: Principal): Promise<boolean> {
    return this.sessions.isYoungerThan(sessionId, RECENT_MINUTES);
  }

  /** Ends the user's sessions, all but one where it is given. Joins a current transaction. */
  async endAll(userId: string, exceptId?: string): Promise<void> {
    await this.sessions.deleteAll(userId, exceptId);
    this.database.afterCommit(() => this.principals.forgetUser(userId));
  }

  async end({ sessionId, userId }: Principal): Promise<void> {
    await this.sessions.delete(sessionId);
    this.principals.forgetUser(userId);
  }

  private async findGenuine(presented: ParsedRefreshToken): Promise<RefreshableSession> {
    const session = await this.sessions.find(presented.sessionId);
    if (!session || !this.refreshTokens.isGenuine(presented, session.refreshSalt)) {
      throw new DomainError('refresh_token_invalid');
    }
    if (!session.isUsable) throw new DomainError('refresh_token_invalid');
    return session;
  }

  /** Null when another request changed the row meanwhile: decide again on what it holds now. */
  private async attemptRefresh(
    { counter }: ParsedRefreshToken,
    session: RefreshableSession,
    client: ClientInfo,
  ): Promise<OpenSession | null> {
    // A higher counter with a genuine MAC was issued before the database was restored from a backup.
    if (counter >= session.refreshCounter) {
      const next = { counter: counter + 1, keyId: this.refreshTokens.currentKeyId };
      const rotated = await this.sessions.rotate({ seen: session, ...next }, this.lifetime, client);
      return (
        rotated &&
        this.opened({
          ...session,
          ...rotated,
          refreshCounter: next.counter,
          refreshKeyId: next.keyId,
        })
      );
    }
    if (counter === session.refreshCounter - 1 && this.mayRepeat(session))
      return this.opened(session);
    if (!(await this.sessions.deleteAsSeen(session))) return null;
    this.principals.forgetUser(session.userId);
    this.logger.warn(
      { sessionId: session.id, userId: session.userId },
      'A refresh token was reused: session ended',
    );
    throw new DomainError('refresh_token_reused');
  }

  private mayRepeat(session: RefreshableSession): boolean {
    return (
      !session.refreshConfirmed ||
      session.secondsSinceIssue <= this.config.auth.refreshReuseWindowSeconds
    );
  }

  private opened(session: SessionRow): OpenSession {
    const { id, refreshSalt: salt, refreshCounter: counter, refreshKeyId: keyId } = session;
    return { session, refreshToken: this.refreshTokens.mint({ id, salt, counter, keyId }) };
  }

  private get lifetime() {
    return {
      ttlDays: Math.min(this.config.auth.refreshTtlDays, this.config.auth.sessionMaxDays),
      maxDays: this.config.auth.sessionMaxDays,
    };
  }
}
