import { Injectable } from '@nestjs/common';
import type { Language } from '@rind/contracts';
import { violatesIndex } from '../platform/database/database-errors.js';
import { Database } from '../platform/database/database.js';
import type { Prisma, User } from '../platform/database/generated/client.js';
import { DomainError } from '../platform/errors/domain.error.js';

export interface NewUser {
  /** In lower case. */
  readonly email: string;
  readonly displayName: string;
  readonly language: Language;
  /** Null for who signs in by other means. */
  readonly passwordHash: string | null;
}

export interface Credentials {
  readonly userId: string;
  readonly passwordHash: string | null;
}

@Injectable()
export class UsersRepository {
  constructor(private readonly database: Database) {}

  /** The new user's id. @throws DomainError `email_already_used` */
  async create(user: NewUser): Promise<string> {
    try {
      const { id } = await this.prisma.user.create({
        data: { ...user, roles: { create: { roleName: 'user' } } },
        select: { id: true },
      });
      return id;
    } catch (error) {
      if (violatesIndex(error, 'users_email_key')) {
        throw new DomainError('email_already_used', { cause: error });
      }
      throw error;
    }
  }

  async find(id: string): Promise<(User & { roles: Array<{ roleName: string }> }) | null> {
    return this.prisma.user.findUnique({
      where: { id },
      include: { roles: { select: { roleName: true }, orderBy: { roleName: 'asc' } } },
    });
  }

  async findCredentials(email: string): Promise<Credentials | null> {
    const user = await this.prisma.user.findUnique({
      where: { email },
      select: { id: true, passwordHash: true },
    });
    return user && { userId: user.id, passwordHash: user.passwordHash };
  }

  /** False when it was verified before, or the user is gone. */
  async markEmailVerified(id: string): Promise<boolean> {
    const { count } = await this.prisma.user.updateMany({
      where: { id, emailVerifiedAt: null },
      data: { emailVerifiedAt: new Date() },
    });
    return count > 0;
  }

  async setPasswordHash(id: string, passwordHash: string | null): Promise<void> {
    await this.prisma.user.updateMany({ where: { id }, data: { passwordHash } });
  }

  /** Only while the hash is still the one that was read: a password changed meanwhile wins. */
  async replacePasswordHash({ userId, passwordHash }: Credentials, newHash: string): Promise<void> {
    await this.prisma.user.updateMany({
      where: { id: userId, passwordHash },
      data: { passwordHash: newHash },
    });
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
