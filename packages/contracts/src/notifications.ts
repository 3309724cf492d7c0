import { z } from 'zod';
import { notificationTypes, type NotificationType } from './notification-types.js';
import { openEnum } from './open-enum.js';
import { pageOf, pageQuery } from './page.js';

const types = Object.keys(notificationTypes) as NotificationType[];

export const NotificationId = z.uuid();

/** What a user was told, as REST and sockets bring it. Synced, it is a `NotificationRecord`. */
export const Notification = z
  .object({
    id: NotificationId,
    type: openEnum<string>(types),
    title: z.string().meta({ example: 'New sign-in' }),
    body: z.string(),
    data: z.record(z.string(), z.unknown()).meta({ description: 'What the type says' }),
    readAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Notification' });
export type Notification = z.infer<typeof Notification>;

export const ListNotificationsQuery = z.object({
  unread: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .meta({ description: '`true` for those that are not read yet, `false` for those that are' }),
  ...pageQuery,
});
export type ListNotificationsQuery = z.infer<typeof ListNotificationsQuery>;

export const NotificationPage = pageOf(Notification).meta({ id: 'NotificationPage' });
export type NotificationPage = z.infer<typeof NotificationPage>;

export const UnreadCount = z.object({ count: z.int() }).meta({ id: 'UnreadCount' });
export type UnreadCount = z.infer<typeof UnreadCount>;

const byType = <Schema extends z.ZodType>(schemaOf: (type: NotificationType) => Schema) =>
  Object.fromEntries(types.map((type) => [type, schemaOf(type)])) as Record<
    NotificationType,
    Schema
  >;

const channels = { feed: z.boolean(), mail: z.boolean() };

const NotificationPreference = z.object(channels).meta({ id: 'NotificationPreference' });

/** Where a user is told of each type. */
export const NotificationPreferences = z
  .object({
    preferences: z.object(byType(() => NotificationPreference)),
  })
  .meta({ id: 'NotificationPreferences' });
export type NotificationPreferences = z.infer<typeof NotificationPreferences>;

/** Nobody who took over an account may silence what would tell its owner. */
const SecurityMail = z.literal(true, {
  error: 'Mails about the security of the account cannot be switched off',
});

export const UpdateNotificationPreferencesBody = z
  .object({
    preferences: z
      .strictObject(
        byType((type) =>
          z
            .strictObject({
              feed: channels.feed,
              mail: notificationTypes[type].isSecurity ? SecurityMail : channels.mail,
            })
            .partial(),
        ),
      )
      .partial(),
  })
  .meta({
    id: 'UpdateNotificationPreferencesBody',
    description: 'What is left out stays as it is',
    example: { preferences: { session_ended_by_limit: { mail: true } } },
  });
export type UpdateNotificationPreferencesBody = z.infer<typeof UpdateNotificationPreferencesBody>;

export const UnsubscribeQuery = z.object({
  token: z
    .string()
    .regex(/^[\w-]{1,512}$/)
    .meta({ description: 'From the link in a mail' }),
});
export type UnsubscribeQuery = z.infer<typeof UnsubscribeQuery>;
