import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { compress, createCompressor, negotiateCoding } from './content-coding.js';

describe('Accept-Encoding', () => {
  test.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, deflate, br', 'br'],
    ['deflate', 'identity'],
    ['*', 'zstd'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['zstd;q=0, *;q=0.5', 'br'],
    ['gzip;q=0', 'identity'],
    ['identity;q=1, gzip;q=0.5', 'identity'],
    ['identity;q=0', 'identity'],
    ['*;q=0', 'identity'],
    ['zstd;q=nonsense, ,;', 'identity'],
  ])('%s takes %s', (header, coding) => {
    expect(negotiateCoding(header)).toBe(coding);
  });
});

describe('compressing', () => {
  const text = 'compressible 👍 '.repeat(10_000);

  test.each([
    ['zstd', zstdDecompressSync],
    ['br', brotliDecompressSync],
    ['gzip', gunzipSync],
  ] as const)('%s', async (coding, decompress) => {
    const compressor = createCompressor(coding)!;
    compressor.end(text);
    for (const bytes of [await compress(text, coding), await compressor.toArray()]) {
      const whole = Array.isArray(bytes) ? Buffer.concat(bytes as Buffer[]) : Buffer.from(bytes);
      expect(whole.length).toBeLessThan(text.length / 10);
      expect(decompress(whole).toString()).toBe(text);
    }
  });

  test('is left out for those who accept none', async () => {
    expect(await compress(text, 'identity')).toBe(text);
    expect(createCompressor('identity')).toBeNull();
  });
});
