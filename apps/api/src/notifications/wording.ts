import { type Language, type NotificationType, notificationTypes } from '@rind/contracts';

/** Any type, where whoever made the data was held to that of its own. */
interface AnyTexts {
  readonly texts: Readonly<Record<Language, (data: unknown) => { title: string; body: string }>>;
}

export function wordingOf(type: NotificationType, language: Language, data: object) {
  const { texts } = notificationTypes[type] as AnyTexts;
  return texts[language](data);
}
