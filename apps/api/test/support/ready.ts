import type { HealthReady } from '@rind/contracts';

interface Answer {
  readonly status: number;
  readonly body: HealthReady;
}

/** Whoever can be asked: an app in this process, or one of its own. */
interface Asked {
  request(method: 'GET', path: string): Promise<{ status: number; body: unknown }>;
}

/**
 * Asks until the answer is as expected. One look at the database serves all who ask within a moment, and
 * one that takes longer than the deadline, as when the machine stands still, says that it is unavailable.
 */
export async function readyWhen(
  asked: Asked,
  isExpected: (answer: Answer) => boolean,
): Promise<Answer> {
  let answer: Answer;
  do answer = (await asked.request('GET', '/health/ready')) as Answer;
  while (!isExpected(answer));
  return answer;
}

/** What is said once the database has shown in time what it was asked for. */
export const ready = (asked: Asked): Promise<Answer> =>
  readyWhen(
    asked,
    ({ body: { checks } }) =>
      checks['database']?.status === 'ok' && checks['jobs']?.detail !== 'Jobs cannot be looked at',
  );
