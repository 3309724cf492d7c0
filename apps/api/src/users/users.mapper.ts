import { type AdminUser, Language, type User } from '@rind/contracts';
import type { User as UserRow } from '../platform/database/generated/client.js';

/** Without what apps keep: it may be long, and is asked for alone. */
export type UserWithRoles = Omit<UserRow, 'preferences'> & {
  readonly roles: ReadonlyArray<{ roleName: string }>;
};

export function toUser(row: UserWithRoles): User {
  return {
    id: row.id,
    email: row.email,
    emailVerified: row.emailVerifiedAt !== null,
    displayName: row.displayName,
    language: Language.parse(row.language),
    roles: row.roles.map(({ roleName }) => roleName),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

export function toAdminUser(row: UserWithRoles): AdminUser {
  return { ...toUser(row), isActive: row.isActive };
}
