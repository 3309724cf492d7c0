import { Injectable } from '@nestjs/common';
import type { User } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { SyncClocks } from '../sync/sync-clocks.js';
import { toUser } from './users.mapper.js';
import { type Credentials, type NewUser, UsersRepository } from './users.repository.js';

@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    private readonly users: UsersRepository,
    private readonly clocks: SyncClocks,
  ) {}

  /** The new user's id. Joins a current transaction. @throws DomainError `email_already_used` */
  async create(user: NewUser): Promise<string> {
    return this.database.transaction(async () => {
      const userId = await this.users.create(user);
      await this.clocks.start(userId);
      return userId;
    });
  }

  /** @throws DomainError `session_ended` when the account is gone */
  async get(userId: string): Promise<User> {
    const row = await this.users.find(userId);
    if (!row) throw new DomainError('session_ended');
    return toUser(row);
  }

  async findCredentials(email: string): Promise<Credentials | null> {
    return this.users.findCredentials(email);
  }

  /** Null when no password is set. @throws DomainError `session_ended` when the account is gone */
  async findPasswordHash(userId: string): Promise<string | null> {
    const row = await this.users.find(userId);
    if (!row) throw new DomainError('session_ended');
    return row.passwordHash;
  }

  /** False when it was verified before, or the account is gone. Joins a current transaction. */
  async markEmailVerified(userId: string): Promise<boolean> {
    return this.users.markEmailVerified(userId);
  }

  async removePassword(userId: string): Promise<void> {
    await this.users.setPasswordHash(userId, null);
  }

  async replacePasswordHash(credentials: Credentials, newHash: string): Promise<void> {
    await this.users.replacePasswordHash(credentials, newHash);
  }
}
