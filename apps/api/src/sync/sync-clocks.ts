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
}
