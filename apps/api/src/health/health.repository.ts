import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';

@Injectable()
export class HealthRepository {
  constructor(private readonly database: Database) {}

  /** Names of the migrations that this database has. */
  async listAppliedMigrations(): Promise<string[]> {
    const rows = await this.database.run<{ name: string }>(
      {
        name: 'health_migrations',
        text: `SELECT migration_name AS name FROM _prisma_migrations
WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`,
      },
      [],
    );
    return rows.map(({ name }) => name);
  }
}
