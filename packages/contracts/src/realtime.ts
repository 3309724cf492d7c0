import { z } from 'zod';
import { errorCodes, type ErrorCode } from './errors.js';
import { Notification, NotificationId } from './notifications.js';
import { openEnum } from './open-enum.js';

/** Where Socket.IO is served: its option `path`. Transport `websocket` only. */
export const REALTIME_PATH = '/api/v1/socket.io';
export const REALTIME_NAMESPACE = '/notifications';

/** A JWT has about 400 characters; what is far longer is none. */
const AccessToken = z.string().min(1).max(4096);

/**
 * Socket.IO's `auth`, sent with the handshake. Browsers whose tokens travel in cookies leave it out;
 * then the page's origin must be one of `CORS_ORIGINS`.
 */
export const HandshakeAuth = z.object({ token: AccessToken.optional() });
export type HandshakeAuth = z.infer<typeof HandshakeAuth>;

const Code = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]);

/** `data` of a `connect_error`: why the handshake was refused, in the words of HTTP. */
export const HandshakeRefusal = z.object({ code: Code });
export type HandshakeRefusal = z.infer<typeof HandshakeRefusal>;

/** Another device, or the server, changed synced rows: pull, unless your cursor is there already. */
export const SyncChanged = z.object({ timestamp: z.int().positive() });
export type SyncChanged = z.infer<typeof SyncChanged>;

/** A row has come into the user's feed. */
export const NotificationCreated = z.object({ notification: Notification });
export type NotificationCreated = z.infer<typeof NotificationCreated>;

/** What one `notification:updated` names at most; more are told in several. */
export const MAX_UPDATED_NOTIFICATIONS = 100;

/** Rows of the feed were marked or deleted, by whichever device. */
export const NotificationsUpdated = z.object({
  change: openEnum(['read', 'unread', 'deleted']),
  ids: z.array(NotificationId).min(1).max(MAX_UPDATED_NOTIFICATIONS),
});
export type NotificationsUpdated = z.infer<typeof NotificationsUpdated>;

/** The last event of a socket whose session is over: the user has to sign in again. */
export const SessionEnded = z.object({ code: z.literal('session_ended') });
export type SessionEnded = z.infer<typeof SessionEnded>;

/** A fresh access token of the same user and session, before the one in use expires. */
export const AuthRenew = z.object({ token: AccessToken });
export type AuthRenew = z.infer<typeof AuthRenew>;

const Refused = z.object({ ok: z.literal(false), code: Code });

/** What a client's event is answered with when it went wrong. */
export type Refused = z.infer<typeof Refused>;

export const AuthRenewAnswer = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    accessTokenExpiresAt: z.iso.datetime().meta({ description: 'When the socket ends now' }),
  }),
  Refused,
]);
export type AuthRenewAnswer = z.infer<typeof AuthRenewAnswer>;

/** Payloads of all events that the server sends. */
export const serverEvents = {
  'sync:changed': SyncChanged,
  'notification:created': NotificationCreated,
  'notification:updated': NotificationsUpdated,
  'session:ended': SessionEnded,
} as const satisfies Record<string, z.ZodType>;

/** Payloads and acknowledgements of all events that clients send. */
export const clientEvents = {
  'auth:renew': { payload: AuthRenew, answer: AuthRenewAnswer },
} as const satisfies Record<string, { payload: z.ZodType; answer: z.ZodType }>;

export type ServerEvent = keyof typeof serverEvents;
export type ServerPayload<Event extends ServerEvent> = z.infer<(typeof serverEvents)[Event]>;

/** For clients: `const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(…)`. */
export type ServerToClientEvents = {
  [Event in ServerEvent]: (payload: ServerPayload<Event>) => void;
};
export type ClientToServerEvents = {
  [Event in keyof typeof clientEvents]: (
    payload: z.input<(typeof clientEvents)[Event]['payload']>,
    acknowledge: (answer: z.output<(typeof clientEvents)[Event]['answer']>) => void,
  ) => void;
};
