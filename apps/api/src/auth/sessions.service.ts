import { randomBytes } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import type { Device, NotificationData, Session } from '@rind/contracts';
import { NIL } from 'uuid';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { addressKey } from '../platform/http/client-address.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { NotificationsService } from '../notifications/notifications.service.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { RefreshMetrics } from './refresh-metrics.js';
import { KnownDevices } from './known-devices.js';
import { RefreshTokens, type ParsedRefreshToken } from './refresh-tokens.js';
import { type SessionEndReason, SessionEnds } from './session-ends.js';
import { toSession } from './sessions.mapper.js';
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

/** Why sessions end, and on whose request; null where the server acts on its own. */
interface Cause {
  readonly reason?: SessionEndReason;
  readonly client?: ClientInfo | null;
}

/** What a sign-in brings; `passwordHash` is the one that the password was compared with. */
export interface NewSignIn {
  readonly userId: string;
  readonly device: Device | undefined;
  readonly passwordHash?: string | null | undefined;
}

/** The password was changed, or hashed anew, after it was compared: compare again. */
export class PasswordChangedError extends Error {
  override readonly name = 'PasswordChangedError';
}

type DeviceData = NotificationData<'new_sign_in'>;

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
    private readonly ends: SessionEnds,
    private readonly metrics: RefreshMetrics,
    private readonly devices: KnownDevices,
    private readonly notifications: NotificationsService,
  ) {}

  /**
   * Signs a device in; replaces its earlier session. Joins a current transaction.
   *
   * @throws DomainError `invalid_credentials`, `account_deactivated`, `email_not_verified`
   * @throws PasswordChangedError
   */
  async open(
    { userId, device, passwordHash }: NewSignIn,
    client: ClientInfo,
  ): Promise<OpenSession> {
    return this.database.transaction(async () => {
      const { now } = await this.lockUser({ userId, passwordHash });
      if (device) {
        const remove = () => this.sessions.deleteOfDevice(userId, device.id);
        await this.ends.endOfLocked({ userId, reason: 'replaced', client }, remove);
      }
      const session = await this.sessions.create({
        userId,
        device,
        client,
        refreshSalt: randomBytes(SALT_BYTES),
        refreshKeyId: this.refreshTokens.currentKeyId,
        lifetimeDays: this.lifetime.ttlDays,
        now,
      });
      const ended = await this.endBeyondLimit(session, client);
      // Last, since it takes the user's clock, which comes behind users and sessions.
      if (await this.devices.isStrange(userId, device, client)) {
        await this.notifications.notify(userId, { type: 'new_sign_in', data: dataOf(session) });
      }
      for (const data of ended) {
        await this.notifications.notify(userId, { type: 'session_ended_by_limit', data });
      }
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
    await this.rateLimits.require('refresh', session.id);
    for (let attempt = 0; attempt < MAX_REFRESH_ATTEMPTS; attempt += 1) {
      const opened = await this.attemptRefresh(presented, session, client);
      if (opened) return opened;
      session = await this.findGenuine(presented);
    }
    throw new DomainError('service_unavailable', { retryAfterSeconds: 1 });
  }

  /**
   * The device or the network of a request, where a session of the user was last used on it. Costs
   * the same for a user who does not exist.
   */
  async findKnownPlace(
    userId: string | null,
    device: Device | undefined,
    { ip }: ClientInfo,
  ): Promise<string | undefined> {
    const places = await this.sessions.listPlaces(userId ?? NIL);
    if (device && places.some(({ deviceId }) => deviceId === device.id)) return device.id;
    const network = addressKey(ip);
    const isKnown = places.some((place) => place.ip !== null && addressKey(place.ip) === network);
    return isKnown ? network : undefined;
  }

  /**
   * Holds the user's row to the end of the transaction, so that sign-ins follow each other.
   *
   * @throws DomainError `invalid_credentials` when the account is gone, `account_deactivated`,
   *   `email_not_verified`
   * @throws PasswordChangedError
   */
  async lockUser({ userId, passwordHash }: Omit<NewSignIn, 'device'>): Promise<{ now: Date }> {
    const user = await this.sessions.lockUser(userId);
    if (!user) throw new DomainError('invalid_credentials');
    if (passwordHash !== undefined && passwordHash !== user.passwordHash) {
      throw new PasswordChangedError();
    }
    if (!user.isActive) throw new DomainError('account_deactivated');
    if (this.config.auth.emailVerificationRequired && !user.isVerified) {
      throw new DomainError('email_not_verified');
    }
    return user;
  }

  /**
   * As `lockUser`, for who is signed in: whoever ends the user's sessions meanwhile, as a reset of the
   * password does, has either done so and is noticed here, or finds what was done in between.
   *
   * @throws DomainError `session_ended`
   */
  async lockSignedIn({ userId, sessionId }: Principal): Promise<void> {
    const user = await this.sessions.lockUser(userId);
    // A statement of its own, which sees what was committed while the first one waited.
    const exists = await this.sessions.exists(userId, sessionId);
    if (!user?.isActive || !exists) throw new DomainError('session_ended');
  }

  /** Whether the session was opened by a sign-in of the last 10 minutes. */
  async isRecent({ sessionId }: Principal): Promise<boolean> {
    return this.sessions.isYoungerThan(sessionId, RECENT_MINUTES);
  }

  /** The devices that a user is signed in on; at most as many as `SESSION_LIMIT`. */
  async list({ userId, sessionId }: Principal): Promise<Session[]> {
    const rows = await this.sessions.list(userId);
    return rows.map((row) => toSession(row, sessionId));
  }

  /**
   * Ends the user's sessions, all but one where it is given, and sign-ins that wait for their second
   * factor. Joins a current transaction.
   */
  async endAll(
    userId: string,
    exceptId?: string,
    { reason = 'credentials_changed', client = null }: Cause = {},
  ): Promise<void> {
    await this.ends.end({ userId, reason, client }, () =>
      this.sessions.deleteAll(userId, exceptId),
    );
  }

  /** The one that asks. */
  async end({ sessionId, userId }: Principal, client: ClientInfo): Promise<void> {
    await this.ends.end({ userId, reason: 'logout', client }, () =>
      this.sessions.delete(userId, sessionId),
    );
  }

  /** @throws DomainError `not_found`, also for a session of somebody else */
  async endOne({ userId }: Principal, id: string, client: ClientInfo): Promise<void> {
    const ended = await this.ends.end({ userId, reason: 'ended_by_user', client }, () =>
      this.sessions.delete(userId, id),
    );
    if (ended === 0) throw new DomainError('not_found', { detail: 'There is no such session' });
  }

  async endOthers({ userId, sessionId }: Principal, client: ClientInfo): Promise<void> {
    await this.endAll(userId, sessionId, { reason: 'ended_by_user', client });
  }

  /** What is told of those that were good until now. */
  private async endBeyondLimit(session: SessionRow, client: ClientInfo): Promise<DeviceData[]> {
    const { userId } = session;
    let ended: Array<DeviceData> = [];
    await this.ends.endOfLocked({ userId, reason: 'limit', client }, async () => {
      const deleted = await this.sessions.deleteBeyond(session, this.config.auth.sessionLimit);
      ended = deleted.filter(({ isExpired }) => !isExpired).map(dataOf);
      return deleted.map(({ id }) => id);
    });
    return ended;
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
      if (!rotated) return null;
      this.metrics.count('rotated');
      return this.opened({
        ...session,
        ...rotated,
        refreshCounter: next.counter,
        refreshKeyId: next.keyId,
      });
    }
    if (counter === session.refreshCounter - 1 && this.mayRepeat(session)) {
      this.metrics.count('repeated');
      return this.opened(session);
    }
    // Committed before the refusal is thrown, which would roll it back.
    const { userId } = session;
    const ended = await this.database.transaction(async () => {
      const count = await this.ends.end({ userId, reason: 'reuse', client }, () =>
        this.sessions.deleteAsSeen(session),
      );
      const data = dataOf(session);
      if (count > 0) {
        await this.notifications.notify(userId, { type: 'session_ended_by_reuse', data });
      }
      return count;
    });
    if (ended === 0) return null;
    this.metrics.count('reused');
    this.logger.warn(
      { sessionId: session.id, userId },
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

function dataOf({
  id: sessionId,
  deviceName,
  platform,
}: Pick<SessionRow, 'id' | 'deviceName' | 'platform'>): DeviceData {
  return { sessionId, deviceName, platform };
}
