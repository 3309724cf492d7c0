import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';

interface UsedSecret {
  readonly name: string;
  readonly fingerprint: string;
  readonly firstUsedAt: Date;
}

const RECORD = {
  name: 'secret_ages_record',
  text: `INSERT INTO secret_ages (name, fingerprint, first_used_at) VALUES ($1, $2, $3::timestamptz)
ON CONFLICT (name, fingerprint) DO NOTHING`,
};

const LIST = {
  name: 'secret_ages_list',
  text: `SELECT name, fingerprint, first_used_at AS "firstUsedAt" FROM secret_ages WHERE name = ANY($1::text[])`,
};

@Injectable()
export class SecretAgesRepository {
  constructor(private readonly database: Database) {}

  /** Unless it is known. */
  async record({ name, fingerprint, firstUsedAt }: UsedSecret): Promise<void> {
    await this.database.run(RECORD, [name, fingerprint, firstUsedAt.toISOString()]);
  }

  list(names: readonly string[]): Promise<UsedSecret[]> {
    return this.database.run<UsedSecret>(LIST, [names]);
  }
}
