import { setTimeout as delay } from 'node:timers/promises';

import type { HealthReady, RindApi } from '../../packages/sdk/dist/index.js';

import { ExpectedError } from '../expected-error.ts';
import { dataOf } from './answers.ts';

const ANSWER_MS = 3_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

export interface Wanted {
  /** At least 7 characters of it; null for any. */
  commit: string | null;
  timeoutMs: number;
  signal: AbortSignal;
}

/** @throws ExpectedError that tells what the server answered last */
export async function untilReady(
  api: RindApi,
  { commit, timeoutMs, signal }: Wanted,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const obstacle = await findObstacle(api, commit, signal);
    signal.throwIfAborted();
    if (obstacle === null) return;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw new ExpectedError(`not within ${timeoutMs / 1000} s: ${obstacle}`);
    await delay(Math.min(pauseMs, leftMs), undefined, { signal }).catch(() => {
      signal.throwIfAborted();
    });
  }
}

async function findObstacle(
  api: RindApi,
  commit: string | null,
  interruption: AbortSignal,
): Promise<string | null> {
  const deadline = AbortSignal.timeout(ANSWER_MS);
  const answer = await api.getReady({ signal: AbortSignal.any([interruption, deadline]) });
  try {
    const ready = dataOf(answer);
    return commit === null ? null : findOtherCommit(ready, commit);
  } catch (error) {
    if (deadline.aborted) return 'it does not answer';
    return failedChecks(answer.error) ?? (error as Error).message;
  }
}

/** The server shows the first 7 characters of its commit. */
function findOtherCommit({ commit: shown, version }: HealthReady, wanted: string): string | null {
  if (!shown) return `it does not say which commit it runs (version ${version})`;
  return wanted.startsWith(shown) || shown.startsWith(wanted)
    ? null
    : `it runs commit ${shown}, not ${wanted}`;
}

function failedChecks(error: unknown): string | null {
  const { checks }: Partial<HealthReady> = Object(error);
  if (!checks) return null;
  const failed = Object.entries(checks).filter(([, { status }]) => status === 'unavailable');
  return `unavailable: ${failed.map(([name, { detail }]) => detail ?? name).join('; ')}`;
}
