import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Notices } from '../platform/database/notices.js';
import type { Principal } from '../platform/http/principal.js';
import { PrincipalCache } from './principal-cache.js';

/** A listening connection that delivers what the test says. */
class FakeNotices extends EventEmitter {
  isLive = true;
  readonly channels: string[] = [];

  listenTo(channel: string): void {
    this.channels.push(channel);
  }
}

const ada: Principal = { userId: 'ada', sessionId: 'phone', roles: ['user'] };
const bob: Principal = { userId: 'bob', sessionId: 'desk', roles: ['user', 'admin'] };

describe('the principal cache', () => {
  let notices: FakeNotices;
  let cache: PrincipalCache;

  beforeEach(() => {
    jest.useFakeTimers({ now: new Date('2026-11-21T09:00:00Z') });
    notices = new FakeNotices();
    cache = new PrincipalCache(notices as unknown as Notices);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function store(token: string, principal: Principal, lifetimeMs = 60_000): void {
    const expiresAt = new Date(Date.now() + lifetimeMs);
    cache.store(token, principal, { revision: cache.revision, expiresAt });
  }

  test('listens to what the database announces', () => {
    expect(notices.channels).toEqual(['rind_principal']);
  });

  test('finds by token what was stored', () => {
    store('a', ada);
    store('b', bob);
    expect(cache.find('a')).toBe(ada);
    expect(cache.find('b')).toBe(bob);
    expect(cache.find('c')).toBeUndefined();
  });

  test('forgets a principal in the moment in which its token expires', () => {
    store('a', ada, 60_000);
    jest.advanceTimersByTime(59_999);
    expect(cache.find('a')).toBe(ada);
    jest.advanceTimersByTime(1);
    expect(cache.find('a')).toBeUndefined();
  });

  test('forgets it although the machine slept meanwhile', () => {
    store('a', ada, 60_000);
    // The wall clock goes on in a sleep, the monotonic one of the process may not.
    jest.setSystemTime(Date.now() + 60_001);
    expect(cache.find('a')).toBeUndefined();
  });

  test('never takes an expired one', () => {
    store('a', ada, 0);
    store('b', ada, -1);
    expect(cache.find('a')).toBeUndefined();
    expect(cache.find('b')).toBeUndefined();
  });

  test('an ended session takes its own tokens out, all of them', () => {
    store('a1', ada);
    store('a2', ada);
    store('a3', { ...ada, sessionId: 'tablet' });
    store('b', bob);
    notices.emit('notice', 'rind_principal', 'session:phone');
    expect(['a1', 'a2', 'a3', 'b'].filter((token) => cache.find(token))).toEqual(['a3', 'b']);
  });

  test('a changed user takes all tokens of the user out', () => {
    store('a1', ada);
    store('a3', { ...ada, sessionId: 'tablet' });
    store('b', bob);
    notices.emit('notice', 'rind_principal', 'user:ada');
    expect(['a1', 'a3', 'b'].filter((token) => cache.find(token))).toEqual(['b']);
  });

  test('what was read before an invalidation, of whomever, is not stored after it', () => {
    const { revision } = cache;
    notices.emit('notice', 'rind_principal', 'session:other');
    cache.store('a', ada, { revision, expiresAt: new Date(Date.now() + 60_000) });
    expect(cache.find('a')).toBeUndefined();
    store('a', ada);
    expect(cache.find('a')).toBe(ada);
  });

  test('notices of other channels mean nothing', () => {
    store('a', ada);
    const { revision } = cache;
    notices.emit('notice', 'something else', 'session:phone');
    expect(cache.revision).toBe(revision);
    expect(cache.find('a')).toBe(ada);
  });

  test('a gap empties it, and voids what is being read', () => {
    store('a', ada);
    const { revision } = cache;
    notices.emit('gap');
    cache.store('b', bob, { revision, expiresAt: new Date(Date.now() + 60_000) });
    expect(cache.find('a')).toBeUndefined();
    expect(cache.find('b')).toBeUndefined();
  });

  test('answers and takes nothing while it cannot be known that notices arrive', () => {
    store('a', ada);
    notices.isLive = false;
    expect(cache.find('a')).toBeUndefined();
    store('b', bob);
    notices.isLive = true;
    expect(cache.find('b')).toBeUndefined();
  });

  test('stays bounded', () => {
    for (let count = 0; count <= 20_000; count += 1) store(`token ${count}`, ada);
    expect(cache.find('token 0')).toBeUndefined();
    expect(cache.find('token 20000')).toBe(ada);
  });
});
