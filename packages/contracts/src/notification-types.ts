import { z } from 'zod';
import type { Language } from './users.js';

/** Where a user is told: in the feed, by mail, both or neither. */
export interface NotificationChannels {
  readonly feed: boolean;
  readonly mail: boolean;
}

interface Wording {
  readonly title: string;
  readonly body: string;
}

interface NotificationDefinition<Data extends z.ZodType> {
  /** What the notification is about, for apps that show more than its text: a flat JSON object. */
  readonly data: Data;
  /** Made when the notification is, in the user's language at that time. */
  readonly texts: Readonly<Record<Language, (data: z.output<Data>) => Wording>>;
  /** Until the user chooses otherwise. */
  readonly channels: NotificationChannels;
  /** About the safety of the account: its mail cannot be switched off. */
  readonly isSecurity: boolean;
}

/** Lets the compiler hold the texts against the data that they are made from. */
const define = <Data extends z.ZodType>(definition: NotificationDefinition<Data>) => definition;

const nothing = z.strictObject({});

/**
 * A signed-in device. Its names were typed by whoever signed in, perhaps a stranger: apps may show
 * them as such, but they never stand in a text that the server signs with its own name.
 */
const device = z.strictObject({
  sessionId: z.uuid(),
  deviceName: z.string().nullable(),
  platform: z.string().nullable(),
});

/**
 * Everything that users are told. An app adds its own types here; a type without data or without a
 * text in one of the languages does not compile. Names stay the same across versions.
 */
export const notificationTypes = {
  welcome: define({
    data: nothing,
    channels: { feed: true, mail: false },
    isSecurity: false,
    texts: {
      en: () => ({ title: 'Welcome', body: 'Your account is ready.' }),
      de: () => ({ title: 'Willkommen', body: 'Dein Konto ist eingerichtet.' }),
    },
  }),
  new_sign_in: define({
    data: device,
    channels: { feed: true, mail: true },
    isSecurity: true,
    texts: {
      en: () => ({
        title: 'New sign-in',
        body: 'Your account was used to sign in on a device that it was not used on before. If it was not you, change your password.',
      }),
      de: () => ({
        title: 'Neue Anmeldung',
        body: 'Mit deinem Konto hat sich ein Gerät angemeldet, das vorher nicht dabei war. Wenn du das nicht warst, ändere dein Passwort.',
      }),
    },
  }),
  password_changed: define({
    data: nothing,
    channels: { feed: true, mail: true },
    isSecurity: true,
    texts: {
      en: () => ({
        title: 'Your password was changed',
        body: 'The password of your account was changed. If it was not you, reset it now.',
      }),
      de: () => ({
        title: 'Dein Passwort wurde geändert',
        body: 'Das Passwort deines Kontos wurde geändert. Wenn du das nicht warst, setze es jetzt zurück.',
      }),
    },
  }),
  session_ended_by_reuse: define({
    data: device,
    channels: { feed: true, mail: true },
    isSecurity: true,
    texts: {
      en: () => ({
        title: 'A device was signed out',
        body: 'A key to your account was used twice, which happens when somebody copied it. The device was signed out. If you did not restore it from a backup, change your password.',
      }),
      de: () => ({
        title: 'Ein Gerät wurde abgemeldet',
        body: 'Ein Schlüssel zu deinem Konto wurde zweimal benutzt, wie es vorkommt, wenn jemand ihn kopiert hat. Das Gerät wurde abgemeldet. Wenn du es nicht aus einer Sicherung wiederhergestellt hast, ändere dein Passwort.',
      }),
    },
  }),
  session_ended_by_limit: define({
    data: device,
    channels: { feed: true, mail: false },
    isSecurity: false,
    texts: {
      en: () => ({
        title: 'A device was signed out',
        body: 'You are signed in on as many devices as possible. The one used least recently was signed out.',
      }),
      de: () => ({
        title: 'Ein Gerät wurde abgemeldet',
        body: 'Du bist auf so vielen Geräten angemeldet wie möglich. Das am längsten nicht benutzte wurde abgemeldet.',
      }),
    },
  }),
};

export type NotificationType = keyof typeof notificationTypes;

export type NotificationData<Type extends NotificationType> = z.output<
  (typeof notificationTypes)[Type]['data']
>;

/** Something to tell a user. */
export interface NewNotification<Type extends NotificationType = NotificationType> {
  readonly type: Type;
  readonly data: NotificationData<Type>;
}
