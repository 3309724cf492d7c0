import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';

/** The change counters of users' synced rows. */
@Injectable()
export class SyncClocks {
  constructor(private readonly database: Database) {}

  /**
   * Inserts the clock of a new user, in the transaction that inserts the user. It starts at the
   * database's time, so that even an empty account's first `timestamp` is above 0 (protocol rule 3).
   */
  async start(userId: string): Promise<void> {
    await this.database.prisma.$executeRaw`
      INSERT INTO sync_clocks (user_id, version, timeline)
      VALUES (${userId}::uuid, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, gen_random_uuid())`;
  }

  /** Of those users who are there. */
  async read(userIds: readonly string[]): Promise<Array<{ userId: string; version: number }>> {
    return this.database.run(
      {
        name: 'sync_clocks_read',
        text: 'SELECT user_id AS "userId", version FROM sync_clocks WHERE user_id = ANY($1::uuid[])',
      },
      [userIds],
    );
  }

  /**
   * Waits for a push of the user that is under way, and holds off later ones to the end of the
   * transaction: they then see what it did. The user's row is locked before (see `UsersService.lock`).
   */
  async lock(userId: string): Promise<void> {
    await this.database.prisma.$queryRaw`
      SELECT FROM sync_clocks WHERE user_id = ${userId}::uuid FOR UPDATE`;
  }
}
