import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Notices } from '../../src/platform/database/notices.js';
import type { TestApp } from './test-app.js';

/** Resolves when an instance hears what the database announces. */
export async function untilLive({ app }: TestApp): Promise<void> {
  const notices = app.get(Notices);
  if (!notices.isLive) await once(notices, 'live');
}

/**
 * Resolves when everything that was announced up to now has arrived at an instance: notices keep
 * their order. Without it, an answer may still come from the principal cache for a moment. A loss of
 * the listening connection, as on a machine that is too busy, empties that cache, and will do as well.
 */
export async function settle(instance: TestApp): Promise<void> {
  await untilLive(instance);
  const mark = `session:${randomUUID()}`;
  const notices = instance.app.get(Notices);
  const arrived = new Promise<void>((resolve) => {
    const settled = () => {
      notices.off('notice', isMark);
      notices.off('gap', settled);
      resolve();
    };
    const isMark = (_channel: string, payload: string) => {
      if (payload === mark) settled();
    };
    notices.on('notice', isMark);
    notices.on('gap', settled);
  });
  await instance.sql.query(`SELECT pg_notify('rind_principal', $1)`, [mark]);
  await arrived;
}
