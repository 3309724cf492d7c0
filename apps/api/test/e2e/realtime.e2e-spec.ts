import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { RealtimeClient, type RealtimeOptions, refusalOf } from '../support/realtime-client.js';
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
