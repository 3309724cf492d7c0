import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Logger } from '@nestjs/common';
import { OutageLog } from './outage-log.js';

describe('the log of an outage', () => {
  let lines: unknown[];
  let now: number;
  let outage: OutageLog;

  beforeEach(() => {
    lines = [];
    now = 1_000;
    const write = (level: string) => (fields: object, text: string) =>
      void lines.push({ level, text, ...fields });
    const logger = { warn: write('warn'), log: write('info') } as unknown as Logger;
    outage = new OutageLog(logger, () => now);
  });

  test('has one line where it begins, one a minute while it lasts, and one where it ends', () => {
    for (; now < 126_000; now += 250) outage.lost('ECONNREFUSED');
    outage.back();
    expect(lines).toEqual([
      { level: 'warn', text: 'The database is away: trying again', reason: 'ECONNREFUSED' },
      { level: 'warn', text: 'The database is still away', reason: 'ECONNREFUSED', seconds: 60 },
      { level: 'warn', text: 'The database is still away', reason: 'ECONNREFUSED', seconds: 120 },
      { level: 'info', text: 'The database is back', seconds: 125 },
    ]);
  });

  test('begins anew with the next outage', () => {
    outage.lost('a');
    outage.back();
    outage.lost('b');
    expect(lines).toHaveLength(3);
    expect(lines.at(-1)).toMatchObject({ reason: 'b' });
  });

  test('says nothing where there was none', () => {
    outage.back();
    expect(lines).toEqual([]);
  });
});
