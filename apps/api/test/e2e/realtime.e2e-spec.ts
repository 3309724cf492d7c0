import { randomUUID } from 'node:crypto';
import type { AuthResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { RealtimeClient, type RealtimeOptions, refusalOf } from '../support/realtime-client.js';
import { SyncSession } from '../support/sync-session.js';
import { type Account, TestApp } from '../support/test-app.js';

describe('realtime', () => {
  let rind: TestApp;
  const clients: RealtimeClient[] = [];

  beforeAll(async () => {
    rind = await TestApp.start({ env: { CORS_ORIGINS: 'https://app.example.com' } });
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  afterAll(() => rind.stop());

  async function connect({ accessToken }: Pick<Account, 'accessToken'>, options?: RealtimeOptions) {
    const client = await RealtimeClient.connect(rind.url, accessToken, options);
    clients.push(client);
    return client;
  }

  /** Another device of the same user. */
  async function signIn({ user, password }: Account): Promise<Account> {
    const { body } = await rind.request<AuthResult>('POST', '/auth/login', {
      body: { email: user.email, password },
    });
    return { ...body, password, id: user.id } as Account;
  }

  const project = () => ({ projects: { created: [{ id: randomUUID(), name: 'n' }] } });

  describe('after a committed push', () => {
    test("the user's other devices learn its timestamp, the one that pushed does not", async () => {
      const session = await SyncSession.open(rind);
      const phone = await connect(session.account);
      const tablet = await connect(await signIn(session.account));
      const { body } = await session.push(project());
      expect(await tablet.receive('sync:changed')).toEqual([{ timestamp: body.timestamp }]);
      expect(await phone.settle()).toEqual([]);
    });

    test('other users learn nothing', async () => {
      const session = await SyncSession.open(rind);
      const tablet = await connect(await signIn(session.account));
      const stranger = await connect(await rind.signUp());
      await session.push(project());
      await tablet.receive('sync:changed');
      expect(await stranger.settle()).toEqual([]);
    });
  });

  describe('a handshake is refused, with the code of HTTP,', () => {
    test('without a token', async () => {
      expect(await refusalOf(rind.url, undefined)).toBe('unauthenticated');
    });

    test.each([
      ['empty', ''],
      ['not a token', 'x'],
      ['far too long', 'x'.repeat(10_000)],
      ['a number', 1],
      ['null', null],
      ['a list', ['x']],
      ['an object', { toString: 'x' }],
    ])('for a token that is %s', async (_kind, token) => {
      expect(await refusalOf(rind.url, token as string)).toBe('unauthenticated');
    });

    test('for a token of a session that has ended', async () => {
      const account = await rind.signUp();
      await rind.request('POST', '/auth/logout', { token: account.accessToken });
      expect(await refusalOf(rind.url, account.accessToken)).toBe('session_ended');
    });
  });
});
