import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { createGzip, gzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import type { Problem, PushResult } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Account, TestApp } from '../support/test-app.js';

const MB = 1024 * 1024;
const LIMIT = MB;

describe('packed bodies', () => {
  let rind: TestApp;
  let account: Account;

  beforeAll(async () => {
    rind = await TestApp.start({ env: { SYNC_BODY_LIMIT_MB: '1' } });
    account = await rind.signUp();
  });
  afterAll(() => rind.stop());

  interface Post {
    body: Buffer | string;
    coding?: string;
    token?: string;
    path?: string;
  }

  async function post({
    body,
    coding = 'gzip',
    token = account.accessToken,
    path = '/sync/push',
  }: Post) {
    const response = await fetch(`${rind.url}/api/v1${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...(coding !== '' && { 'content-encoding': coding }),
      },
      body: new Uint8Array(Buffer.from(body)),
    });
    return {
      status: response.status,
      acceptEncoding: response.headers.get('accept-encoding'),
      body: (await response.json()) as PushResult & Problem,
    };
  }

  const pushOf = (id: string, filler = '') =>
    JSON.stringify({
      changes: { projects: { created: [{ id, name: id }] } },
      lastPulledAt: null,
      filler,
    });

  async function isStored(id: string): Promise<boolean> {
    const { rowCount } = await rind.sql.query('SELECT FROM projects WHERE id = $1', [id]);
    return rowCount === 1;
  }

  /** So many zeros, packed without ever having them all in memory. */
  function packZeros(megabytes: number): Promise<Buffer> {
    const zeros = Buffer.alloc(MB);
    return buffer(Readable.from(Array(megabytes).fill(zeros)).pipe(createGzip({ level: 9 })));
  }

  test.each(['gzip', 'GZIP', 'x-gzip', 'identity, gzip', 'identity', ''])(
    'are taken with the Content-Encoding %j',
    async (coding) => {
      const id = `taken-${coding.replace(', ', '-')}`;
      const body = coding.toLowerCase().includes('gzip') ? gzipSync(pushOf(id)) : pushOf(id);
      expect((await post({ body, coding })).status).toBe(200);
      expect(await isStored(id)).toBe(true);
    },
  );

  test('many at once are kept apart', async () => {
    const ids = Array.from({ length: 12 }, (_, n) => `many-${n}`);
    const statuses = ids.map(async (id) => (await post({ body: gzipSync(pushOf(id)) })).status);
    expect(await Promise.all(statuses)).toEqual(Array(12).fill(200));
    expect(await Promise.all(ids.map(isStored))).toEqual(Array(12).fill(true));
  });

  test.each(['gzip, gzip', 'br', 'zstd', 'deflate', 'nonsense'])(
    'are refused with the Content-Encoding %j, and gzip is named as accepted',
    async (coding) => {
      const answer = await post({ body: gzipSync(gzipSync(pushOf('refused'))), coding });
      expect(answer).toMatchObject({
        status: 415,
        acceptEncoding: 'gzip',
        body: { code: 'unsupported_media_type' },
      });
      expect(await isStored('refused')).toBe(false);
    },
  );

  test('are refused by every other route', async () => {
    const body = gzipSync(
      JSON.stringify({ email: account.user.email, password: account.password }),
    );
    expect(await post({ body, path: '/auth/login' })).toMatchObject({
      status: 415,
      acceptEncoding: 'identity',
      body: { code: 'unsupported_media_type' },
    });
  });

  test('of another type than JSON are refused without a word on packing', async () => {
    const response = await fetch(`${rind.url}/api/v1/sync/push`, {
      method: 'POST',
      headers: { authorization: `Bearer ${account.accessToken}`, 'content-type': 'text/plain' },
      body: 'x',
    });
    expect([response.status, response.headers.get('accept-encoding')]).toEqual([415, null]);
  });

  const packed = gzipSync(pushOf('broken', 'some text that takes a few bytes'));
  const damaged = Buffer.from(packed);
  damaged[damaged.length - 6]! ^= 0xff;

  test.each<[string, Buffer | string]>([
    ['a missing end', packed.subarray(0, -1)],
    ['half of it', packed.subarray(0, packed.length / 2)],
    ['a wrong checksum', damaged],
    ['plain JSON', pushOf('broken')],
    ['twice packed', gzipSync(packed)],
    ['packed text that is no JSON', gzipSync('{"changes":')],
  ])('are malformed with %s, and nothing is applied', async (_, body) => {
    expect(await post({ body })).toMatchObject({
      status: 400,
      body: { code: 'malformed_request' },
    });
    expect(await isStored('broken')).toBe(false);
  });

  describe('are held to the limit', () => {
    const fillerFor = (id: string, bytes: number) => 'x'.repeat(bytes - pushOf(id).length);

    test('unpacked: just fitting, and one byte more', async () => {
      const fitting = pushOf('fitting', fillerFor('fitting', LIMIT));
      expect(Buffer.byteLength(fitting)).toBe(LIMIT);
      expect((await post({ body: gzipSync(fitting) })).status).toBe(200);
      const tooLarge = pushOf('too-large', fillerFor('too-large', LIMIT + 1));
      expect(await post({ body: gzipSync(tooLarge) })).toMatchObject({
        status: 413,
        body: { code: 'payload_too_large', detail: expect.stringContaining('unpacked') },
      });
      expect(await isStored('too-large')).toBe(false);
    });

    test('packed: what would unpack to little may not be large itself', async () => {
      // Empty members of a gzip file: 20 bytes each that unpack to nothing.
      const empty = gzipSync('');
      const body = Buffer.concat([
        gzipSync(pushOf('padded')),
        ...Array<Buffer>(Math.ceil(LIMIT / empty.length)).fill(empty),
      ]);
      expect(await post({ body })).toMatchObject({
        status: 413,
        body: { code: 'payload_too_large' },
      });
      expect(await isStored('padded')).toBe(false);
    });

    test('a gigabyte of zeros is never in memory', async () => {
      // A file of gzip may have several members, which follow one another.
      const bomb = Buffer.concat(Array<Buffer>(10).fill(await packZeros(100)));
      expect(bomb.length).toBeLessThan(LIMIT);
      const before = process.resourceUsage().maxRSS;
      const answers = await Promise.all(Array.from({ length: 8 }, () => post({ body: bomb })));
      const grownMb = (process.resourceUsage().maxRSS - before) / 1024;
      // One user has room for two bodies at once.
      const statuses = new Set(answers.map(({ status }) => status));
      expect(statuses).toEqual(new Set([413, 429]));
      expect(grownMb).toBeLessThan(200);
    });
  });

  test('are not read from strangers', async () => {
    const request = httpRequest(`${rind.url}/api/v1/sync/push`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'content-length': 500_000,
      },
    });
    request.flushHeaders();
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(401);
    request.destroy();
  });
});
