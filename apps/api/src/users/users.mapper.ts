import { type AdminUser, Language, type User } from '@rind/contracts';

/** Without the password, and what apps keep: it may be long, and is asked for alone. */
export interface UserRow {
  readonly id: string;
  readonly email: string;
  readonly emailVerifiedAt: Date | null;
  readonly displayName: string;
  readonly language: string;
  readonly isActive: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** In alphabetical order. */
  readonly roles: readonly string[];
}

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    emailVerified: row.emailVerifiedAt !== null,
    displayName: row.displayName,
    language: Language.parse(row.language),
    roles: [...row.roles],
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

export function toAdminUser(row: UserRow): AdminUser {
  return { ...toUser(row), isActive: row.isActive };
}
