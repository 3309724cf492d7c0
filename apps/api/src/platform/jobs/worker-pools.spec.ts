import { describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import { LogRecorder } from '../../../test/support/log-recorder.js';
import { WorkerPools } from './worker-pools.js';

describe('the heartbeat of a worker', () => {
  /** What the log has after it failed a few times. */
  async function logOf(error: Error): Promise<LogRecorder> {
    const log = new LogRecorder();
    const end = new AbortController();
    let attempts = 0;
    const query = async () => {
      attempts += 1;
      if (attempts === 3) end.abort();
      throw error;
    };
    const pools = new WorkerPools({ query } as unknown as Pool, { heartbeatMs: 0, silenceMs: 0 });
    expect(await pools.keepAlive('id', end.signal)).toBe('ended');
    return log;
  }

  test('ends without an answer to its last words', async () => {
    const end = new AbortController();
    const query = (text: string) => {
      if (text.startsWith('DELETE')) return new Promise(() => undefined);
      end.abort();
      return Promise.resolve({ rowCount: 1, rows: [] });
    };
    const pools = new WorkerPools({ query } as unknown as Pool, { heartbeatMs: 0, silenceMs: 0 });
    expect(await pools.keepAlive('id', end.signal)).toBe('ended');
  });

  test('says nothing of an outage, which others tell of', async () => {
    const error = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect((await logOf(error)).lines).toEqual([]);
  });

  test('tells of what nobody foresaw', async () => {
    const log = await logOf(new Error('relation "worker_pools" does not exist'));
    expect(log.find('A heartbeat failed')).toHaveLength(3);
  });
});
