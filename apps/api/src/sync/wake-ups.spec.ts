import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Realtime } from '../platform/realtime/realtime.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { SyncEvents } from './sync-events.js';
import { WakeUps } from './wake-ups.js';

describe('wake-ups', () => {
  const clock = new ManualClock();
  const events = new SyncEvents();
  /** Who was woken with which timestamp, except which session. */
  const sent: Array<[userId: string, timestamp: number, except: string | null]> = [];

  class RecordingRealtime implements Pick<Realtime, 'emit'> {
    emit: Realtime['emit'] = ({ userId, exceptSessionId }, _event, payload) => {
      sent.push([userId, (payload as { timestamp: number }).timestamp, exceptSessionId]);
    };
  }
  new WakeUps(events, new RecordingRealtime() as unknown as Realtime, clock);

  const change = (timestamp: number, sessionId: string | null = 'a', userId = 'ada') =>
    events.emit('changed', { userId, sessionId, timestamp, writes: [] });

  beforeEach(() => {
    clock.advance(1_000);
    sent.length = 0;
  });

  test('the first change is announced at once, to all but the session that made it', () => {
    change(1);
    expect(sent).toEqual([['ada', 1, 'a']]);
  });

  test('a change that no device made is announced to all', () => {
    change(1, null);
    expect(sent).toEqual([['ada', 1, null]]);
  });

  test('further ones within 50 ms fold into one, with the highest timestamp, at the end of them', () => {
    change(1);
    change(2);
    change(4);
    change(3);
    clock.advance(49);
    expect(sent).toHaveLength(1);
    clock.advance(1);
    expect(sent.slice(1)).toEqual([['ada', 4, 'a']]);
  });

  test.each<[string, Array<string | null>, string | null]>([
    ['one session made all of them', ['b', 'b', 'b'], 'b'],
    ['one of them is of another session', ['b', 'c', 'b'], null],
    ['the last one is of another session', ['b', 'b', 'c'], null],
    ['the first of them is of the server', [null, 'b'], null],
    ['one of them is of the server', ['b', null], null],
    ['three sessions made them', ['a', 'b', 'c'], null],
  ])('a session is left out only if it made all that is folded in: %s', (_case, makers, except) => {
    change(1, 'a');
    makers.forEach((maker, index) => change(2 + index, maker));
    clock.advance(50);
    expect(sent).toEqual([
      ['ada', 1, 'a'],
      ['ada', 1 + makers.length, except],
    ]);
  });

  test('changes after a folded announcement wait for 50 ms as well', () => {
    change(1);
    change(2);
    clock.advance(50);
    change(3);
    clock.advance(49);
    expect(sent).toHaveLength(2);
    clock.advance(1);
    expect(sent.slice(2)).toEqual([['ada', 3, 'a']]);
  });

  test('a change after 50 quiet ms is announced at once again', () => {
    change(1);
    clock.advance(50);
    change(2);
    expect(sent).toEqual([
      ['ada', 1, 'a'],
      ['ada', 2, 'a'],
    ]);
  });

  test('nothing is announced twice, and nothing is kept of users who are quiet', () => {
    change(1);
    change(2);
    clock.advance(10_000);
    expect(sent).toHaveLength(2);
    expect(clock.timers.size).toBe(0);
  });

  test('users do not delay each other', () => {
    change(1, 'a', 'ada');
    change(2, 'b', 'bob');
    expect(sent).toEqual([
      ['ada', 1, 'a'],
      ['bob', 2, 'b'],
    ]);
  });
});
