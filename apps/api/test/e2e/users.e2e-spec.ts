import type { Preferences, Problem, User } from '@rind/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { UsersRepository } from '../../src/users/users.repository.js';
import { hold, untilBlocked } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

// From before the first connection on: each keeps the function that it finds, to measure its statements.
const query = jest.spyOn(pg.Client.prototype, 'query');
let rind: TestApp;
let account: Account;

beforeAll(async () => {
  rind = await TestApp.start();
});
beforeEach(async () => {
  account = await rind.signUp();
});
afterAll(() => rind.stop());

const call = <Body>(method: string, path: string, body?: unknown) =>
  rind.request<Body & Problem>(method, path, {
    token: account.accessToken,
    ...(body !== undefined && { body }),
  });

describe('reading the profile', () => {
  test('takes one statement, roles included', async () => {
    await call('GET', '/users/me');
    query.mockClear();
    const { body } = await call<User>('GET', '/users/me');
    // Jobs and notices have statements of their own meanwhile.
    const own = query.mock.calls.filter((call) => JSON.stringify(call).includes(account.id));
    expect(own).toHaveLength(1);
    expect(body).toEqual({ ...account.user, roles: ['user'] });
  });
});

describe('changing the profile', () => {
  test('changes what is given and nothing else', async () => {
    const { status, body } = await call<User>('PATCH', '/users/me', { displayName: ' Ada 👩‍🔬 ' });
    expect(status).toBe(200);
    expect(body).toEqual({
      ...account.user,
      displayName: 'Ada 👩‍🔬',
      updatedAt: expect.any(String),
    });
    expect(body.updatedAt > account.user.updatedAt).toBe(true);
    await call('PATCH', '/users/me', { language: 'de' });
    expect((await call<User>('GET', '/users/me')).body).toMatchObject({
      displayName: 'Ada 👩‍🔬',
      language: 'de',
    });
  });

  test('gives no right: other fields are ignored', async () => {
    const wishes = { roles: ['admin'], email: 'x@example.com', emailVerified: true, id: 'x' };
    const { status, body } = await call<User>('PATCH', '/users/me', wishes);
    expect([status, body]).toEqual([200, account.user]);
  });

  test.each([
    ['an empty name', { displayName: ' ' }, '/displayName'],
    ['a long name', { displayName: 'x'.repeat(101) }, '/displayName'],
    ['a name of two lines', { displayName: 'a\nb' }, '/displayName'],
    ['a name that is null', { displayName: null }, '/displayName'],
    ['an unknown language', { language: 'fr' }, '/language'],
    ['a list', [], ''],
  ])('%s is refused', async (_, wrong, pointer) => {
    const { status, body } = await call('PATCH', '/users/me', wrong);
    expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([
      422,
      'validation_failed',
      pointer,
    ]);
  });
});

describe('preferences', () => {
  const PATH = '/users/me/preferences';
  const update = (changes: unknown) => call<Preferences>('PATCH', PATH, changes);

  test('begin empty, are changed by key, and are as they were sent', async () => {
    expect((await call('GET', PATH)).body).toEqual({});
    const layers = { trees: [1, -0.5, 1e21, null, true, { 'ä"\\': '\u2028👩‍🔬' }] };
    expect((await update({ theme: 'dark', 'map.layers': layers })).body).toEqual({
      theme: 'dark',
      'map.layers': layers,
    });
    expect((await update({ theme: null, other: false })).body).toEqual({
      'map.layers': layers,
      other: false,
    });
    expect((await call('GET', PATH)).body).toEqual({ 'map.layers': layers, other: false });
    const other = await rind.signUp();
    expect((await rind.request('GET', PATH, { token: other.accessToken })).body).toEqual({});
  });

  test('of two devices that change different keys at once both are kept', async () => {
    const seam = hold(rind.app.get(UsersRepository), 'setPreferences', 'before');
    const first = update({ one: 1 });
    await seam.reached;
    const second = update({ two: 2 });
    await untilBlocked(rind.sql, second);
    seam.release();
    await Promise.all([first, second]);
    expect((await call('GET', PATH)).body).toEqual({ one: 1, two: 2 });
  });

  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);

  test('have room, and an end', async () => {
    expect((await update({ deep: deep(7), long: 'x'.repeat(16_000) })).status).toBe(200);
    const more = await update({ more: 'x'.repeat(500) });
    expect([more.status, more.body.code]).toEqual([422, 'validation_failed']);
    expect((await update({ more: 'x'.repeat(500), long: null })).status).toBe(200);
  });

  test.each([
    ['no object', []],
    ['a key with other characters', { 'a b': 1 }],
    ['a long key', { ['k'.repeat(65)]: 1 }],
    ['too many levels', { deep: deep(8) }],
    ['too much', { long: 'x'.repeat(16_384) }],
    ['NUL', { text: 'a\0b' }],
    ['NUL in a key further down', { text: { 'a\0b': 1 } }],
    ['half of a character', '{"text":"\\ud83d"}'],
    ['a number without end', '{"number":1e400}'],
  ])('%s is refused', async (_, wrong) => {
    const { status, body } = await update(wrong);
    expect([status, body.code]).toEqual([422, 'validation_failed']);
  });
});
