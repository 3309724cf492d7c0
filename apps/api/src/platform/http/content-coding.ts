import type { Transform } from 'node:stream';
import { promisify } from 'node:util';
import zlib, { constants } from 'node:zlib';
import Negotiator from 'negotiator';

/** How the bytes of an answer are compressed (RFC 9110, 8.4.1). */
export type ContentCoding = 'zstd' | 'br' | 'gzip' | 'identity';

/** By what they cost and save; the first one that the client likes best is taken. */
const preferred: readonly ContentCoding[] = ['zstd', 'br', 'gzip', 'identity'];

/** The package's types do not know the option yet. */
interface PreferringNegotiator {
  encodings(available: readonly string[], options: { preferred: readonly string[] }): string[];
}

/** What the client accepts, by `Accept-Encoding`; without that header it did not say that it accepts any. */
export function negotiateCoding(acceptEncoding: string | undefined): ContentCoding {
  if (acceptEncoding === undefined) return 'identity';
  const negotiator: PreferringNegotiator = new Negotiator({
    headers: { 'accept-encoding': acceptEncoding },
  });
  return (negotiator.encodings(preferred, { preferred })[0] ?? 'identity') as ContentCoding;
}

/** Levels at which compressing costs less than sending what it saves. */
const gzipOptions = { level: 1, chunkSize: 64 * 1024 };
const brotliOptions = {
  chunkSize: 64 * 1024,
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 4,
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
  },
};
const zstdOptions = {
  chunkSize: 64 * 1024,
  params: { [constants.ZSTD_c_compressionLevel]: 1 },
};

const gzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip);
const brotli = promisify<zlib.InputType, zlib.BrotliOptions, Buffer>(zlib.brotliCompress);
const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);

/** The whole text at once, off the main thread. */
export async function compress(text: string, coding: ContentCoding): Promise<string | Buffer> {
  switch (coding) {
    case 'zstd':
      return zstd(text, zstdOptions);
    case 'br':
      return brotli(text, brotliOptions);
    case 'gzip':
      return gzip(text, gzipOptions);
    case 'identity':
      return text;
  }
}

/** For a stream, off the main thread; null for what is not compressed. */
export function createCompressor(coding: ContentCoding): Transform | null {
  switch (coding) {
    case 'zstd':
      return zlib.createZstdCompress(zstdOptions);
    case 'br':
      return zlib.createBrotliCompress(brotliOptions);
    case 'gzip':
      return zlib.createGzip(gzipOptions);
    case 'identity':
      return null;
  }
}
