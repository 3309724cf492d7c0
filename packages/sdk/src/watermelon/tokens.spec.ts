import { describe, expect, test } from '@jest/globals';
import type { AuthResult } from '../generated/types.gen.js';
import { SyncError } from './sync-error.js';
import { TokenKeeper, type Tokens, userOfToken } from './tokens.js';

const old: Tokens = { accessToken: 'access 1', refreshToken: 'refresh 1' };
const renewed: Tokens = { accessToken: 'access 2', refreshToken: 'refresh 2' };

/** A storage and a server; both wait where the test says so. */
class Scene {
  stored: Tokens | null = old;
  readonly exchanged: string[] = [];
  answer: () => Promise<Tokens> = () => Promise.resolve(renewed);
  save: () => Promise<void> = () => Promise.resolve();
  readonly keeper = new TokenKeeper(
    {
      load: () => Promise.resolve(this.stored),
      save: async (tokens) => {
        await this.save();
        this.stored = tokens;
      },
    },
    async (refreshToken) => {
      this.exchanged.push(refreshToken);
      return (await this.answer()) as unknown as AuthResult;
    },
  );
}

describe('refresh', () => {
  test('exchanges once for all who ask at the same time', async () => {
    const scene = new Scene();
    const answers = await Promise.all([1, 2, 3].map(() => scene.keeper.refresh(old)));
    expect(answers).toEqual([renewed, renewed, renewed]);
    expect(scene.exchanged).toEqual(['refresh 1']);
    expect(scene.stored).toEqual(renewed);
  });

  test('gives nobody the new tokens before they are durable', async () => {
    const scene = new Scene();
    const saving = Promise.withResolvers<void>();
    const called = Promise.withResolvers<void>();
    scene.save = () => {
      called.resolve();
      return saving.promise;
    };
    let isAnswered = false;
    const answer = scene.keeper.refresh(old).then(() => (isAnswered = true));
    await called.promise;
    expect(isAnswered).toBe(false);
    saving.resolve();
    await answer;
  });

  test('gives nobody tokens that could not be stored', async () => {
    const scene = new Scene();
    scene.save = () => Promise.reject(new Error('keychain locked'));
    await expect(scene.keeper.refresh(old)).rejects.toThrow('keychain locked');
    expect(scene.stored).toEqual(old);
  });

  test('does not exchange again for somebody who was late', async () => {
    const scene = new Scene();
    await scene.keeper.refresh(old);
    expect(await scene.keeper.refresh(old)).toEqual(renewed);
    expect(scene.exchanged).toEqual(['refresh 1']);
  });

  test('neither overwrites nor fails a sign-in that happened meanwhile', async () => {
    const other: Tokens = { accessToken: 'other', refreshToken: 'other refresh' };
    for (const ending of ['answered', 'refused']) {
      const scene = new Scene();
      scene.answer = () => {
        scene.stored = other;
        return ending === 'answered'
          ? Promise.resolve(renewed)
          : Promise.reject(new SyncError('refresh_token_invalid', 'over'));
      };
      expect(await scene.keeper.refresh(old)).toEqual(other);
      expect(scene.stored).toEqual(other);
    }
  });

  test('stores nothing for a user who signed out meanwhile', async () => {
    const scene = new Scene();
    scene.answer = () => {
      scene.stored = null;
      return Promise.resolve(renewed);
    };
    await expect(scene.keeper.refresh(old)).rejects.toMatchObject({ code: 'signed_out' });
    expect(scene.stored).toBeNull();
  });

  test('keeps the stored tokens when the server refuses, and asks again next time', async () => {
    const scene = new Scene();
    scene.answer = () => Promise.reject(new SyncError('network_error', 'gone'));
    await expect(scene.keeper.refresh(old)).rejects.toMatchObject({ code: 'network_error' });
    expect(scene.stored).toEqual(old);
    scene.answer = () => Promise.resolve(renewed);
    expect(await scene.keeper.refresh(old)).toEqual(renewed);
  });

  test('refuses an answer without tokens, as in cookie mode', async () => {
    const scene = new Scene();
    scene.answer = () => Promise.resolve({} as Tokens);
    await expect(scene.keeper.refresh(old)).rejects.toMatchObject({ code: 'unexpected_answer' });
    expect(scene.stored).toEqual(old);
  });
});

describe('userOfToken', () => {
  const token = (payload: string) => `e30.${Buffer.from(payload).toString('base64url')}.signature`;

  test.each(['a', 'ab', 'abc', '0198c0de-0000-7000-8000-000000000001'])('reads %s', (sub) => {
    expect(userOfToken(token(JSON.stringify({ sub, iat: 1 })))).toBe(sub);
  });

  test.each(['', 'opaque', 'a.b.c', 'a.{}.c', token('[]'), token('{"sub":1}'), token('no JSON')])(
    'finds nobody in "%s"',
    (text) => {
      expect(userOfToken(text)).toBeNull();
    },
  );
});
