import { Injectable } from '@nestjs/common';
import type { Language, ListUsersQuery, Preferences, UpdateMeBody } from '@rind/contracts';
import { violatesIndex } from '../platform/database/database-errors.js';
import { Database } from '../platform/database/database.js';
import type { Prisma } from '../platform/database/generated/client.js';
import type { Statement } from '../platform/database/sql-transaction.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { idOfCursor } from '../platform/http/page-cursor.js';
import type { UserRow } from './users.mapper.js';

export interface NewUser {
  /** In lower case. */
  readonly email: string;
  readonly displayName: string;
  readonly language: Language;
  /** Null for who signs in by other means. */
  readonly passwordHash: string | null;
}

/** Where mails to a user go. */
export interface Recipient {
  readonly email: string;
  readonly language: string;
  readonly isVerified: boolean;
}

export interface Credentials {
  readonly userId: string;
  readonly passwordHash: string | null;
}

/** `[user]` → `UserRow`. The read behind every profile and every sign-in: one round trip, past Prisma's mapping. */
const findUser: Statement = {
  name: 'users_find',
  text: `SELECT id, email, email_verified_at AS "emailVerifiedAt", display_name AS "displayName", language,
  is_active AS "isActive", created_at AS "createdAt", updated_at AS "updatedAt",
  array(SELECT role_name FROM user_roles r WHERE r.user_id = u.id ORDER BY 1) AS roles
FROM users u WHERE id = $1::uuid`,
};

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

  async find(id: string): Promise<UserRow | null> {
    const [row] = await this.database.run<UserRow>(findUser, [id]);
    return row ?? null;
  }

  async update(id: string, { displayName, language }: UpdateMeBody): Promise<void> {
    await this.prisma.user.updateMany({
      where: { id },
      data: {
        ...(displayName !== undefined && { displayName }),
        ...(language !== undefined && { language }),
      },
    });
  }

  async findPreferences(id: string): Promise<Preferences | null> {
    const row = await this.prisma.user.findUnique({ where: { id }, select: { preferences: true } });
    return row && (row.preferences as Preferences);
  }

  async setPreferences(id: string, preferences: Preferences): Promise<void> {
    await this.prisma.user.updateMany({
      where: { id },
      data: { preferences: preferences as Prisma.InputJsonObject },
    });
  }

  /** Newest first, one more than the limit where there are more. */
  async list({ search, role, active, cursor, limit }: ListUsersQuery): Promise<UserRow[]> {
    const contains = search && {
      // Prisma leaves the wildcards of LIKE as they are.
      contains: search.replaceAll(/[\\%_]/g, '\\$&'),
      mode: 'insensitive' as const,
    };
    const users = await this.prisma.user.findMany({
      where: {
        ...(cursor !== undefined && { id: { lt: idOfCursor(cursor) } }),
        ...(contains && { OR: [{ email: contains }, { displayName: contains }] }),
        ...(role !== undefined && { roles: { some: { roleName: role } } }),
        ...(active !== undefined && { isActive: active }),
      },
      orderBy: { id: 'desc' },
      take: limit + 1,
      include: { roles: { orderBy: { roleName: 'asc' } } },
      omit: { preferences: true, passwordHash: true },
    });
    return users.map((user) => ({ ...user, roles: user.roles.map(({ roleName }) => roleName) }));
  }

  /**
   * Ids of the active administrators. To the end of the transaction nobody else who asks for them
   * gets an answer: so of two who take each other's role, one sees what the other did. Taken before
   * the row of a user.
   */
  async lockAdmins(): Promise<string[]> {
    await this.prisma.$queryRaw`SELECT FROM roles WHERE name = 'admin' FOR NO KEY UPDATE`;
    const admins = await this.prisma.userRole.findMany({
      where: { roleName: 'admin', user: { isActive: true } },
      select: { userId: true },
    });
    return admins.map(({ userId }) => userId);
  }

  /** To the end of the transaction; false when the user is gone. */
  async lock(id: string): Promise<boolean> {
    const rows = await this.prisma.$queryRaw<unknown[]>`
      SELECT FROM users WHERE id = ${id}::uuid FOR UPDATE`;
    return rows.length > 0;
  }

  /** With everything that refers to the user. */
  async delete(id: string): Promise<void> {
    await this.prisma.$executeRaw`DELETE FROM users WHERE id = ${id}::uuid`;
  }

  async setActive(id: string, isActive: boolean): Promise<void> {
    await this.prisma.user.update({ where: { id }, data: { isActive } });
  }

  async addRole(userId: string, roleName: string): Promise<void> {
    await this.prisma.userRole.createMany({ data: { userId, roleName }, skipDuplicates: true });
  }

  async removeRole(userId: string, roleName: string): Promise<void> {
    await this.prisma.userRole.deleteMany({ where: { userId, roleName } });
  }

  async findCredentials(email: string): Promise<Credentials | null> {
    const user = await this.prisma.user.findUnique({
      where: { email },
      select: { id: true, passwordHash: true },
    });
    return user && { userId: user.id, passwordHash: user.passwordHash };
  }

  /** Null when the user is gone. */
  async findPassword(id: string): Promise<{ hash: string | null } | null> {
    const user = await this.prisma.user.findUnique({
      where: { id },
      select: { passwordHash: true },
    });
    return user && { hash: user.passwordHash };
  }

  /** Null when the user is gone or deactivated. */
  async findRecipient(id: string): Promise<Recipient | null> {
    const user = await this.prisma.user.findUnique({ where: { id, isActive: true } });
    return (
      user && {
        email: user.email,
        language: user.language,
        isVerified: user.emailVerifiedAt !== null,
      }
    );
  }

  /** @throws DomainError `email_already_used` */
  async setVerifiedEmail(id: string, email: string): Promise<void> {
    try {
      await this.prisma.user.updateMany({
        where: { id },
        data: { email, emailVerifiedAt: new Date() },
      });
    } catch (error) {
      if (violatesIndex(error, 'users_email_key')) {
        throw new DomainError('email_already_used', { cause: error });
      }
      throw error;
    }
  }

  /** False when it was verified, or is gone. */
  async deleteUnverified(id: string): Promise<boolean> {
    const { count } = await this.prisma.user.deleteMany({ where: { id, emailVerifiedAt: null } });
    return count > 0;
  }

  /** False when it was verified before, or the user is gone. */
  async markEmailVerified(id: string): Promise<boolean> {
    const { count } = await this.prisma.user.updateMany({
      where: { id, emailVerifiedAt: null },
      data: { emailVerifiedAt: new Date() },
    });
    return count > 0;
  }

  async setPasswordHash(id: string, passwordHash: string): Promise<void> {
    await this.prisma.user.updateMany({ where: { id }, data: { passwordHash } });
  }

  /** False when there was none. */
  async removePasswordHash(id: string): Promise<boolean> {
    const { count } = await this.prisma.user.updateMany({
      where: { id, passwordHash: { not: null } },
      data: { passwordHash: null },
    });
    return count > 0;
  }

  /** Only while the hash is still the one that was read: a password changed meanwhile wins. False then. */
  async replacePasswordHash(
    { userId, passwordHash }: Credentials,
    newHash: string,
  ): Promise<boolean> {
    const { count } = await this.prisma.user.updateMany({
      where: { id: userId, passwordHash },
      data: { passwordHash: newHash },
    });
    return count > 0;
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
