import { syncTables } from '@rind/contracts';

/** The synced tables that tests know: a table that is added later must not break tests that are not about it. */
export const firstTables = syncTables.filter(({ name }) =>
  ['projects', 'tasks', 'notifications'].includes(name),
);
