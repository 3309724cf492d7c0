import { z } from 'zod';
import { Device } from './auth.js';

export const Session = z
  .object({
    id: z.uuid(),
    device: Device.nullable().meta({
      description: 'As it introduced itself when it signed in; null when it did not',
    }),
    ip: z.string().nullable().meta({
      description: 'Where the session was used from last',
      example: '192.0.2.7',
    }),
    userAgent: z.string().nullable(),
    createdAt: z.iso.datetime().meta({ description: 'When the device signed in' }),
    lastUsedAt: z.iso.datetime().meta({
      description: 'When the device signed in or refreshed its tokens last',
    }),
    expiresAt: z.iso.datetime(),
    current: z.boolean().meta({ description: 'Whether this request came from it' }),
  })
  .meta({ id: 'Session' });
export type Session = z.infer<typeof Session>;

export const SessionList = z
  .object({
    items: z.array(Session),
    nextCursor: z.string().nullable().meta({
      description: 'Null: the server bounds the number of sessions, and this is all of them',
    }),
  })
  .meta({ id: 'SessionList' });
export type SessionList = z.infer<typeof SessionList>;
