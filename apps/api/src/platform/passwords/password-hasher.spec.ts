import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type * as Argon2 from 'argon2';
import { loadConfig } from '../config/config.js';
import type { PasswordHasher } from './password-hasher.js';

const PASSWORD = 'correct horse battery';

/** How many calls of argon2 run at this moment, and how many did at most. */
let running = 0;
let most = 0;
const calls: string[] = [];

function counted<Parameters extends unknown[], Result>(
  name: string,
  work: (...parameters: Parameters) => Promise<Result>,
): (...parameters: Parameters) => Promise<Result> {
  return async (...parameters) => {
    calls.push(name);
    running += 1;
    most = Math.max(most, running);
    try {
      return await work(...parameters);
    } finally {
      running -= 1;
    }
  };
}

describe('hashing passwords', () => {
  let argon2: typeof Argon2;
  let hasher: PasswordHasher;
  let hash: string;

  beforeAll(async () => {
    argon2 = await import('argon2');
    const { hash: hashOf, verify } = argon2;
    jest.unstable_mockModule('argon2', () => ({
      ...argon2,
      hash: counted('hash', hashOf as (plain: string, options: object) => Promise<string>),
      verify: counted('verify', verify),
    }));
    const module = await import('./password-hasher.js');
    hasher = new module.PasswordHasher(loadConfig({ DATABASE_URL: 'postgres://unused' }));
    hash = await hasher.hash(PASSWORD);
  });
  afterAll(() => {
    jest.unstable_unmockModule('argon2');
  });
  beforeEach(async () => {
    // The decoy is made once, when the hasher is.
    await hasher.verify(null, '');
    calls.length = 0;
    most = 0;
  });

  test('follows the first recommendation of OWASP for argon2id', () => {
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  test('fits its password, and no other', async () => {
    expect(await hasher.verify(hash, PASSWORD)).toBe(true);
    expect(await hasher.verify(hash, `${PASSWORD} `)).toBe(false);
    expect(await hasher.verify(hash, '')).toBe(false);
  });

  test('two hashes of one password differ', async () => {
    expect(await hasher.hash(PASSWORD)).not.toBe(hash);
  });

  test('without a hash the same work is done, and nothing fits', async () => {
    expect(await hasher.verify(null, PASSWORD)).toBe(false);
    expect(calls).toEqual(['verify']);
    // Nor does the password of the hash that is compared in its place.
    expect(await hasher.verify(null, 'no account has this password')).toBe(false);
    expect(calls).toEqual(['verify', 'verify']);
  });

  test('never more at once than there are cores, of hashing and comparing together', async () => {
    const work = Array.from({ length: availableParallelism() * 3 }, () => [
      hasher.hash(PASSWORD),
      hasher.verify(hash, PASSWORD),
      hasher.verify(null, PASSWORD),
    ]).flat();
    await Promise.all(work);
    expect(calls).toHaveLength(work.length);
    expect(most).toBe(availableParallelism());
  });

  test('when hundreds wait, the next is told to come back, and those before it are served', async () => {
    const cheap = await argon2.hash(PASSWORD, { memoryCost: 256, timeCost: 2, parallelism: 1 });
    calls.length = 0;
    const inLine = Array.from({ length: availableParallelism() + 256 }, () =>
      hasher.verify(cheap, PASSWORD),
    );
    const served = Promise.all(inLine);
    const refused = { code: 'service_unavailable', retryAfterSeconds: 5 };
    await expect(hasher.hash(PASSWORD)).rejects.toMatchObject(refused);
    expect(new Set(await served)).toEqual(new Set([true]));
    expect(calls).toHaveLength(inLine.length);
    expect(await hasher.verify(hash, PASSWORD)).toBe(true);
  });

  test('a refused hash takes no place from the next', async () => {
    const broken = Array.from({ length: availableParallelism() }, () =>
      hasher.verify('no hash', PASSWORD),
    );
    const results = await Promise.allSettled(broken);
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(await hasher.verify(hash, PASSWORD)).toBe(true);
  });

  test('knows hashes that were made with other parameters', async () => {
    expect(hasher.isOutdated(hash)).toBe(false);
    const options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
    for (const change of [{ memoryCost: 9_728 }, { timeCost: 3 }]) {
      expect(hasher.isOutdated(await argon2.hash(PASSWORD, { ...options, ...change }))).toBe(true);
    }
  });
});
