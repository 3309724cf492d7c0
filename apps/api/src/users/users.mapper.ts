import { Language, type User } from '@rind/contracts';
import type { User as UserRow } from '../platform/database/generated/client.js';

export function toUser(row: UserRow & { roles: ReadonlyArray<{ roleName: string }> }): User {
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
