import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';

@Injectable()
export class KnownDevicesRepository {
  constructor(private readonly database: Database) {}

  /**
   * Whether the user has signed in on other devices, and never on this one, which is remembered from
   * now on. The user's row is locked before, so that sign-ins follow each other.
   */
  async meet(userId: string, fingerprint: Uint8Array): Promise<{ isStrange: boolean }> {
    // The subquery sees the rows from before the statement.
    const rows = await this.database.prisma.$queryRaw<Array<{ isStrange: boolean }>>`
      INSERT INTO known_devices AS k (user_id, fingerprint, last_seen_at)
      VALUES (${userId}::uuid, ${fingerprint}, now())
      ON CONFLICT (user_id, fingerprint) DO UPDATE SET last_seen_at = now()
      RETURNING k.xmax = 0 AND EXISTS (
        SELECT FROM known_devices o WHERE o.user_id = ${userId}::uuid) AS "isStrange"`;
    return rows[0]!;
  }

  async list(userId: string): Promise<Array<{ lastSeenAt: Date }>> {
    return this.database.prisma.knownDevice.findMany({
      where: { userId },
      select: { lastSeenAt: true },
      orderBy: { lastSeenAt: 'desc' },
    });
  }

  async deleteAll(userId: string): Promise<void> {
    await this.database.prisma.knownDevice.deleteMany({ where: { userId } });
  }

  /** How many were not seen for so long. */
  async deleteUnseen(days: number, limit: number): Promise<number> {
    return this.database.prisma.$executeRaw`
      DELETE FROM known_devices WHERE (user_id, fingerprint) IN (
        SELECT user_id, fingerprint FROM known_devices
        WHERE last_seen_at < now() - make_interval(days => ${days})
        ORDER BY last_seen_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }
}
