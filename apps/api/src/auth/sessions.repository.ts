import { Injectable } from '@nestjs/common';
import type { Device } from '@rind/contracts';
import { DAY_MS } from '../platform/clock/clock.js';
import { Database } from '../platform/database/database.js';
import type { Prisma, Session } from '../platform/database/generated/client.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';

export type SessionRow = Session;

/** A session as its user may see it. */
export type ListedSession = Pick<
  Session,
  | 'id'
  | 'deviceId'
  | 'deviceName'
  | 'platform'
  | 'appVersion'
  | 'ip'
  | 'userAgent'
  | 'createdAt'
  | 'lastUsedAt'
  | 'expiresAt'
>;

/** A session with what refreshing it needs to know. Times are those of the database's clock. */
export interface RefreshableSession extends Session {
  readonly secondsSinceIssue: number;
  readonly isUsable: boolean;
}

/** A session that is gone now. */
interface EndedSession extends Pick<Session, 'id' | 'deviceName' | 'platform'> {
  /** Whether it was of no use before. */
  readonly isExpired: boolean;
}

interface NewSession {
  readonly userId: string;
  readonly device: Device | undefined;
  readonly client: ClientInfo;
  readonly refreshSalt: Uint8Array<ArrayBuffer>;
  readonly refreshKeyId: string;
  readonly lifetimeDays: number;
  /** The database's clock, as in every other time of the row. */
  readonly now: Date;
}

interface Rotation {
  readonly seen: Pick<Session, 'id' | 'refreshCounter' | 'refreshConfirmed'>;
  readonly counter: number;
  readonly keyId: string;
}

interface Lifetime {
  readonly ttlDays: number;
  readonly maxDays: number;
}

/** What decides about a sign-in, as it is when nobody else can change it any more. */
interface LockedUser {
  readonly isActive: boolean;
  readonly isVerified: boolean;
  readonly passwordHash: string | null;
  /** The database's clock. */
  readonly now: Date;
}

/** What an access token stands for right now. */
interface PrincipalRow {
  readonly roles: string[];
  readonly expiresAt: Date;
  readonly isConfirmed: boolean;
}

@Injectable()
export class SessionsRepository {
  constructor(private readonly database: Database) {}

  /** Null when the user is gone. Holds the user's row to the end of the transaction, so that sign-ins follow each other. */
  async lockUser(userId: string): Promise<LockedUser | null> {
    const rows = await this.prisma.$queryRaw<LockedUser[]>`
      SELECT is_active AS "isActive", email_verified_at IS NOT NULL AS "isVerified",
             password_hash AS "passwordHash", clock_timestamp() AS now
      FROM users WHERE id = ${userId}::uuid FOR NO KEY UPDATE`;
    return rows[0] ?? null;
  }

  /** Those that are still good, the one used last first. */
  async list(userId: string): Promise<ListedSession[]> {
    return this.prisma.$queryRaw`
      SELECT id, device_id AS "deviceId", device_name AS "deviceName", platform, app_version AS "appVersion",
             ip, user_agent AS "userAgent", created_at AS "createdAt", last_used_at AS "lastUsedAt",
             expires_at AS "expiresAt"
      FROM sessions WHERE user_id = ${userId}::uuid AND expires_at > now()
      ORDER BY last_used_at DESC, id DESC`;
  }

  /** As all that delete: the ids of the sessions that are gone now. */
  async deleteOfDevice(userId: string, deviceId: string): Promise<string[]> {
    return this.idsOf(this.prisma.$queryRaw`
      DELETE FROM sessions WHERE user_id = ${userId}::uuid AND device_id = ${deviceId}::uuid RETURNING id`);
  }

  async create(session: NewSession): Promise<Session> {
    const { now } = session;
    return this.prisma.session.create({
      data: {
        userId: session.userId,
        deviceId: session.device?.id ?? null,
        deviceName: session.device?.name ?? null,
        platform: session.device?.platform ?? null,
        appVersion: session.device?.appVersion ?? null,
        ip: session.client.ip,
        userAgent: session.client.userAgent,
        refreshSalt: session.refreshSalt,
        refreshKeyId: session.refreshKeyId,
        refreshIssuedAt: now,
        createdAt: now,
        lastUsedAt: now,
        expiresAt: new Date(now.getTime() + session.lifetimeDays * DAY_MS),
      },
    });
  }

  /** Keeps this session and those used last, `limit` in all; expired ones go first. */
  async deleteBeyond({ id, userId }: SessionRow, limit: number): Promise<EndedSession[]> {
    return this.prisma.$queryRaw`
      DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE user_id = ${userId}::uuid AND id <> ${id}::uuid
        ORDER BY expires_at > now() DESC, last_used_at DESC, id DESC OFFSET ${limit - 1})
      RETURNING id, device_name AS "deviceName", platform, expires_at <= now() AS "isExpired"`;
  }

  async find(id: string): Promise<RefreshableSession | null> {
    const rows = await this.prisma.$queryRaw<RefreshableSession[]>`
      SELECT s.id, s.user_id AS "userId", s.device_id AS "deviceId", s.device_name AS "deviceName",
             s.platform, s.app_version AS "appVersion", s.ip, s.user_agent AS "userAgent",
             s.refresh_salt AS "refreshSalt", s.refresh_counter AS "refreshCounter",
             s.refresh_key_id AS "refreshKeyId", s.refresh_issued_at AS "refreshIssuedAt",
             s.refresh_confirmed AS "refreshConfirmed", s.created_at AS "createdAt",
             s.last_used_at AS "lastUsedAt", s.expires_at AS "expiresAt",
             extract(epoch FROM now() - s.refresh_issued_at)::float8 AS "secondsSinceIssue",
             s.expires_at > now() AND u.is_active AS "isUsable"
      FROM sessions s JOIN users u ON u.id = s.user_id
      WHERE s.id = ${id}::uuid`;
    return rows[0] ?? null;
  }

  /** Makes `counter` the current one. Null when the row is no longer as it was seen: read it again. */
  async rotate(
    { seen, counter, keyId }: Rotation,
    lifetime: Lifetime,
    client: ClientInfo,
  ): Promise<{ expiresAt: Date } | null> {
    const rows = await this.prisma.$queryRaw<Array<{ expiresAt: Date }>>`
      UPDATE sessions
      SET refresh_counter = ${counter}, refresh_key_id = ${keyId}, refresh_issued_at = now(),
          refresh_confirmed = false, last_used_at = now(), ip = ${client.ip}, user_agent = ${client.userAgent},
          expires_at = least(now() + make_interval(days => ${lifetime.ttlDays}),
                             created_at + make_interval(days => ${lifetime.maxDays}))
      WHERE id = ${seen.id}::uuid AND refresh_counter = ${seen.refreshCounter}
        AND refresh_confirmed = ${seen.refreshConfirmed}
      RETURNING expires_at AS "expiresAt"`;
    return rows[0] ?? null;
  }

  /** Installations and addresses of the sessions that have not expired. */
  async listPlaces(userId: string): Promise<Array<{ deviceId: string | null; ip: string | null }>> {
    return this.prisma.session.findMany({
      where: { userId, expiresAt: { gt: new Date() } },
      select: { deviceId: true, ip: true },
    });
  }

  async exists(userId: string, id: string): Promise<boolean> {
    return (await this.prisma.session.count({ where: { id, userId } })) > 0;
  }

  async isYoungerThan(id: string, minutes: number): Promise<boolean> {
    const rows = await this.prisma.$queryRaw<unknown[]>`
      SELECT FROM sessions WHERE id = ${id}::uuid AND created_at > now() - make_interval(mins => ${minutes})`;
    return rows.length > 0;
  }

  async deleteAll(userId: string, exceptId?: string): Promise<string[]> {
    // What would become a session once its second factor is shown.
    await this.prisma.pendingSignIn.deleteMany({ where: { userId } });
    return this.idsOf(this.prisma.$queryRaw`
      DELETE FROM sessions
      WHERE user_id = ${userId}::uuid AND id IS DISTINCT FROM ${exceptId ?? null}::uuid RETURNING id`);
  }

  async delete(userId: string, id: string): Promise<string[]> {
    return this.idsOf(this.prisma.$queryRaw`
      DELETE FROM sessions WHERE user_id = ${userId}::uuid AND id = ${id}::uuid RETURNING id`);
  }

  /** None when the row is no longer as it was seen. */
  async deleteAsSeen(seen: Rotation['seen']): Promise<string[]> {
    return this.idsOf(this.prisma.$queryRaw`
      DELETE FROM sessions
      WHERE id = ${seen.id}::uuid AND refresh_counter = ${seen.refreshCounter}
        AND refresh_confirmed = ${seen.refreshConfirmed}
      RETURNING id`);
  }

  /** Sessions whose refresh token is from under a key. */
  async countUnderKey(keyId: string): Promise<number> {
    return this.prisma.session.count({
      where: { refreshKeyId: keyId, expiresAt: { gt: new Date() } },
    });
  }

  /** A day late: by then they count as expired under the clock of every process. */
  async deleteExpired(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at < now() - interval '1 day'
        ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }

  /** Null when session or user is gone, expired or deactivated. */
  async findPrincipal(
    userId: string,
    sessionId: string,
    refreshCounter: number,
  ): Promise<PrincipalRow | null> {
    const rows = await this.prisma.$queryRaw<PrincipalRow[]>`
      SELECT array(SELECT role_name FROM user_roles r WHERE r.user_id = u.id ORDER BY 1) AS roles,
             s.expires_at AS "expiresAt",
             s.refresh_confirmed OR s.refresh_counter <> ${refreshCounter} AS "isConfirmed"
      FROM sessions s JOIN users u ON u.id = s.user_id
      WHERE s.id = ${sessionId}::uuid AND u.id = ${userId}::uuid AND u.is_active AND s.expires_at > now()`;
    return rows[0] ?? null;
  }

  /** Those of the given sessions that are still good. */
  async findActive(ids: readonly string[]): Promise<string[]> {
    return this.idsOf(this.prisma.$queryRaw`
      SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id
      WHERE s.id = ANY(${ids}::uuid[]) AND u.is_active AND s.expires_at > now()`);
  }

  /** Notes that the refresh token with this counter has arrived, if it is still the current one. */
  async confirm(id: string, refreshCounter: number): Promise<void> {
    await this.prisma.session.updateMany({
      where: { id, refreshCounter },
      data: { refreshConfirmed: true },
    });
  }

  private async idsOf(rows: Promise<Array<{ id: string }>>): Promise<string[]> {
    return (await rows).map(({ id }) => id);
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
