import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../errors/domain.error.js';

/** How the bytes of a request may be packed (RFC 9110, 8.4.1). */
type RequestCoding = 'gzip' | 'identity';

const CHUNK_BYTES = 64 * 1024;

const gunzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gunzip);

/** Null for what nobody here can unpack, such as a body that was packed twice. */
function codingOf({ headers }: FastifyRequest): RequestCoding | null {
  const codings = (headers['content-encoding'] ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length === 0) return 'identity';
  // RFC 9110, 8.4.1.3: the old name means the same.
  return codings.length === 1 && /^(x-)?gzip$/.test(codings[0]!) ? 'gzip' : null;
}

/**
 * Refuses a body before it is read; tells what would be accepted, as RFC 9110, 15.5.16 asks.
 *
 * @throws DomainError `unsupported_media_type`
 */
export function refuseUnless(
  accepted: RequestCoding,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const coding = codingOf(request);
  if (coding === 'identity' || coding === accepted) return;
  reply.header('accept-encoding', accepted);
  throw new DomainError('unsupported_media_type', {
    detail: `The Content-Encoding of this body is not accepted here; ${accepted} is`,
  });
}

/**
 * The bytes as they were before they were packed, at most as many as the route takes: unpacking
 * stops there, so that a small body which unpacks to gigabytes costs no more than any other.
 *
 * @throws DomainError `payload_too_large`; `malformed_request` for bytes that are not whole gzip
 */
export async function unpack(body: Buffer, request: FastifyRequest): Promise<Buffer> {
  if (codingOf(request) !== 'gzip') return body;
  const limit = request.routeOptions.bodyLimit;
  try {
    return await gunzip(body, { maxOutputLength: limit, chunkSize: CHUNK_BYTES });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new DomainError('payload_too_large', {
        detail: `The body may have at most ${limit} bytes, unpacked`,
      });
    }
    throw new DomainError('malformed_request', {
      detail: 'The body is not gzip, or its end is missing',
      cause: error,
    });
  }
}
