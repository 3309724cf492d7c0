import { z } from 'zod';
import { pageOf, pageQuery } from './page.js';
import { line } from './text.js';
import { User } from './users.js';

/** What a user may be besides being one. */
export const Role = z.enum(['user', 'admin']);
export type Role = z.infer<typeof Role>;

/** A user as administrators see it. */
export const AdminUser = User.extend({
  isActive: z.boolean().meta({ description: 'False: may not sign in, and has no session' }),
}).meta({ id: 'AdminUser' });
export type AdminUser = z.infer<typeof AdminUser>;

export const ListUsersQuery = z.object({
  search: line(100).optional().meta({ description: 'A part of the address or of the name' }),
  role: Role.optional(),
  active: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
  ...pageQuery,
});
export type ListUsersQuery = z.infer<typeof ListUsersQuery>;

export const AdminUserPage = pageOf(AdminUser).meta({ id: 'AdminUserPage' });
export type AdminUserPage = z.infer<typeof AdminUserPage>;

export const UpdateUserBody = z
  .object({
    roles: z
      .array(Role)
      .optional()
      .meta({
        description: 'All roles that the user has from now on',
        example: ['user', 'admin'],
      }),
    isActive: z.boolean().optional(),
  })
  .meta({ id: 'UpdateUserBody' });
export type UpdateUserBody = z.infer<typeof UpdateUserBody>;
