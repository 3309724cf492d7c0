/** What a run is about, as it is typed for it. */
export const suiteNames = ['sync', 'http', 'auth', 'realtime'] as const;
export type SuiteName = (typeof suiteNames)[number];
