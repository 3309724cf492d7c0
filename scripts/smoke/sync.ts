import { randomUUID } from 'node:crypto';

import type { RindApi } from '../../packages/sdk/dist/index.js';

import { ExpectedError } from '../expected-error.ts';
import { dataOf } from './answers.ts';
import { Listener } from './listener.ts';
import type { Steps } from './steps.ts';

/** Of an account that stays, records with it are deleted at the end, also those of a test that did not get there. */
const ID_PREFIX = 'smoke-';

export interface Devices {
  writer: RindApi;
  reader: RindApi;
  readerToken: string;
}

/** One device pushes; the other, which listens, learns of it and pulls. */
export async function syncDevices(
  url: string,
  { writer, reader, readerToken }: Devices,
  steps: Steps,
): Promise<void> {
  const listener = await steps.run('open a socket', (signal) =>
    Listener.connect(url, readerToken, signal),
  );
  try {
    const project = newProject();
    const before = await steps.run('pull', async (signal) =>
      dataOf(await writer.pullChanges({ signal })),
    );
    const pushed = await steps.run('push', async (signal) => {
      const changes = { projects: { created: [project], updated: [], deleted: [] } };
      const body = { lastPulledAt: before.timestamp, changes };
      return dataOf(await writer.pushChanges({ body, signal }));
    });
    await steps.run('sync:changed', (signal) => listener.untilChanged(pushed.timestamp, signal));
    await steps.run('pull the push', async (signal) => {
      const query = { lastPulledAt: String(before.timestamp) };
      const { changes } = dataOf(await reader.pullChanges({ query, signal }));
      const { created, updated } = changes.projects;
      const found = [...created, ...updated].find(({ id }) => id === project.id);
      if (found?.name !== project.name) throw new ExpectedError('The record is not in the pull.');
    });
  } finally {
    listener.close();
  }
}

export async function deleteRecords(device: RindApi, signal: AbortSignal): Promise<void> {
  const { changes, timestamp } = dataOf(await device.pullChanges({ signal }));
  const { created, updated } = changes.projects;
  const deleted = [...created, ...updated]
    .map(({ id }) => id)
    .filter((id) => id.startsWith(ID_PREFIX));
  const body = {
    lastPulledAt: timestamp,
    changes: { projects: { created: [], updated: [], deleted } },
  };
  dataOf(await device.pushChanges({ body, signal }));
}

function newProject() {
  const now = Date.now();
  const id = ID_PREFIX + randomUUID();
  return { id, name: `Project of ${id}`, created_at: now, updated_at: now };
}
