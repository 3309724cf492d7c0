import { z } from 'zod';
import { openEnum } from './open-enum.js';
import { line } from './text.js';

export const Language = z.enum(['de', 'en']);
export type Language = z.infer<typeof Language>;

export const UserId = z.uuid();

export const DisplayName = line(100);

export const User = z
  .object({
    id: z.uuid(),
    email: z.string(),
    emailVerified: z.boolean(),
    displayName: z.string(),
    language: openEnum(Language.options),
    roles: z.array(z.string()).meta({ example: ['user'] }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

export const UpdateMeBody = z
  .object({ displayName: DisplayName.optional(), language: Language.optional() })
  .meta({ id: 'UpdateMeBody' });
export type UpdateMeBody = z.infer<typeof UpdateMeBody>;
