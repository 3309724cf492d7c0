import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from './clock.js';
import { Scheduler } from './scheduler.js';
import { errorOfAnswer, SyncError } from './sync-error.js';

const INTERVAL_MS = 300_000;
const offline = () => new SyncError('network_error', 'gone');
const limited = (retryAfter: string) =>
  errorOfAnswer(
    new Response('', { status: 429, headers: { 'retry-after': retryAfter } }),
    '',
    Date.now(),
  );

/** Each run waits until the test ends it. */
class Runs {
  readonly open: PromiseWithResolvers<string>[] = [];
  count = 0;
  readonly scheduler = new Scheduler<string>({
    run: () => {
      this.count += 1;
      const run = Promise.withResolvers<string>();
      this.open.push(run);
      return run.promise;
    },
    onFinished: () => undefined,
    clock: systemClock,
    // The longest delays.
    random: () => 1,
    intervalMs: INTERVAL_MS,
  });

  async succeed(result = 'done'): Promise<void> {
    this.open.shift()!.resolve(result);
    await jest.advanceTimersByTimeAsync(0);
  }

  async fail(error: Error): Promise<void> {
    this.open.shift()!.reject(error);
    await jest.advanceTimersByTimeAsync(0);
  }
}

let runs: Runs;
let scheduler: Scheduler<string>;

beforeEach(() => {
  jest.useFakeTimers();
  runs = new Runs();
  scheduler = runs.scheduler;
});
afterEach(() => {
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

async function expectNextRunAfter(ms: number): Promise<void> {
  const before = runs.count;
  await pass(ms - 1);
  expect(runs.count).toBe(before);
  await pass(1);
  expect(runs.count).toBe(before + 1);
}

describe('requests', () => {
  test('one runs, one is pending, and the rest join it', async () => {
    const first = scheduler.request();
    const [second, third] = [scheduler.request(), scheduler.request()];
    expect(runs.count).toBe(1);
    expect(second).toBe(third);
    await pass(5000);
    expect(runs.count).toBe(1);
    await runs.succeed('one');
    await runs.succeed('two');
    expect(await Promise.all([first, second])).toEqual(['one', 'two']);
    await pass(10 * INTERVAL_MS);
    expect(runs.count).toBe(2);
  });

  test('a second lies between the starts of two runs', async () => {
    void scheduler.request();
    await runs.succeed();
    void scheduler.request();
    await expectNextRunAfter(1000);
  });

  test('a clock that is set back delays nobody for longer than the second', async () => {
    void scheduler.request();
    await runs.succeed();
    jest.setSystemTime(Date.now() - 86_400_000);
    void scheduler.request();
    await expectNextRunAfter(1000);
  });

  test('a failure rejects what asked for it, and only that', async () => {
    const first = scheduler.request();
    const second = scheduler.request();
    await runs.fail(new SyncError('validation_failed', 'no'));
    await expect(first).rejects.toMatchObject({ code: 'validation_failed' });
    await pass(1000);
    await runs.succeed();
    expect(await second).toBe('done');
  });

  test('what is not a SyncError becomes one', async () => {
    const request = scheduler.request();
    const cause = new Error('disk full');
    await runs.fail(cause);
    await expect(request).rejects.toMatchObject({ code: 'client_error', cause });
  });
});

describe('the interval', () => {
  test('runs at once on start, and then at every interval', async () => {
    scheduler.start();
    expect(runs.count).toBe(1);
    await runs.succeed();
    await expectNextRunAfter(INTERVAL_MS);
    await runs.succeed();
    await expectNextRunAfter(INTERVAL_MS);
  });

  test('no timer is left after stop, and a pending request is told', async () => {
    scheduler.start();
    await runs.succeed();
    const pending = scheduler.request();
    const stopped = scheduler.stop();
    await expect(pending).rejects.toMatchObject({ code: 'stopped' });
    await stopped;
    expect(jest.getTimerCount()).toBe(0);
    scheduler.poke();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('stop waits for the run that is under way', async () => {
    scheduler.start();
    let isStopped = false;
    const stopped = scheduler.stop().then(() => (isStopped = true));
    await pass(0);
    expect(isStopped).toBe(false);
    await runs.succeed();
    await stopped;
    expect(jest.getTimerCount()).toBe(0);
  });

  test.each(['session_ended', 'refresh_token_reused', 'account_changed'] as const)(
    'nothing runs by itself after %s, until somebody asks',
    async (code) => {
      scheduler.start();
      await runs.fail(new SyncError(code, 'over'));
      scheduler.poke();
      await pass(10 * INTERVAL_MS);
      expect(runs.count).toBe(1);
      void scheduler.request();
      await runs.succeed();
      await expectNextRunAfter(INTERVAL_MS);
    },
  );

  test('an error that does not pass by itself is tried again at the interval', async () => {
    scheduler.start();
    await runs.fail(new SyncError('sync_content_refused', 'no', { status: 422 }));
    await expectNextRunAfter(INTERVAL_MS);
  });
});

describe('back-off', () => {
  test('doubles up to a bound, and a success ends it', async () => {
    scheduler.start();
    for (const seconds of [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
      await runs.fail(offline());
      await expectNextRunAfter(seconds * 1000);
    }
    await runs.succeed();
    await expectNextRunAfter(INTERVAL_MS);
    await runs.fail(offline());
    await expectNextRunAfter(2000);
  });

  test('half of it is random', async () => {
    const shortest = new Scheduler<string>({
      run: () => Promise.reject(offline()),
      onFinished: () => undefined,
      clock: systemClock,
      random: () => 0,
      intervalMs: INTERVAL_MS,
    });
    await expect(shortest.request()).rejects.toThrow();
    await pass(0);
    expect(shortest.waitingUntil).toBe(Date.now() + 1000);
  });

  test('a request waits for its end, unless it says otherwise', async () => {
    scheduler.start();
    await runs.fail(offline());
    await pass(2000);
    await runs.fail(offline());
    void scheduler.request();
    await pass(1500);
    expect(runs.count).toBe(2);
    void scheduler.request({ skipBackOff: true });
    expect(runs.count).toBe(3);
  });

  test.each([
    ['in seconds', '120'],
    ['as a date', () => new Date(Date.now() + 120_000).toUTCString()],
  ])('the delay that the server asked for is kept, %s', async (_form, retryAfter) => {
    jest.setSystemTime(1_790_000_000_000);
    scheduler.start();
    await runs.fail(limited(typeof retryAfter === 'string' ? retryAfter : retryAfter()));
    void scheduler.request({ skipBackOff: true });
    expect(scheduler.waitingUntil).toBe(Date.now() + 120_000);
    await expectNextRunAfter(120_000);
  });

  test.each(['soon', '-5', ''])(
    'a Retry-After of "%s" delays no more than usual',
    async (value) => {
      scheduler.start();
      await runs.fail(limited(value));
      await expectNextRunAfter(2000);
    },
  );

  test('an absurd Retry-After counts as a day', async () => {
    scheduler.start();
    await runs.fail(limited('99999999999'));
    await expectNextRunAfter(86_400_000);
  });

  test.each([500, 502, 503, 429, 408])('an answer of %i is tried again soon', async (status) => {
    scheduler.start();
    await runs.fail(errorOfAnswer(new Response('', { status }), '<html>', 0));
    await expectNextRunAfter(2000);
  });
});
