import { pipeline, type Readable, Transform } from 'node:stream';
import zlib from 'node:zlib';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../errors/domain.error.js';

/** How the bytes of a request may be packed (RFC 9110, 8.4.1). */
type RequestCoding = 'gzip' | 'identity';

const CHUNK_BYTES = 64 * 1024;

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

/** At all routes but one, which unpacks them. */
export function refusePackedBodies(
  app: NestFastifyApplication,
  { exceptAt: url }: { readonly exceptAt: string },
): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', (route) => {
    if (route.url === url) return;
    route.preParsing = async (request, reply, payload) => {
      refuseUnless('identity', request, reply);
      return payload;
    };
  });
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
 * The bytes as they were before they were packed, at most as many as the route takes, packed or not:
 * unpacking stops there, so that a small body which unpacks to gigabytes costs no more than any other.
 * The stream fails with `payload_too_large`; with `malformed_request` for bytes that are not whole
 * gzip; and with what `grow` throws, which is told how many bytes there are before they are passed on.
 */
export function unpack(
  payload: Readable,
  request: FastifyRequest,
  grow: (bytes: number) => void,
): Readable {
  const limit = request.routeOptions.bodyLimit;
  if (codingOf(request) === 'gzip') return gunzipped(payload, request, limit, grow);
  // As long as it says: Node ends it there. Counting it chunk by chunk would cost more than to read it.
  const announced = Number(request.headers['content-length']);
  if (announced <= Math.min(limit, CHUNK_BYTES)) {
    grow(announced);
    return payload;
  }
  const received = counted((bytes) => {
    request.receivedBytes = bytes;
    refuseAbove(limit, bytes);
    grow(bytes);
  });
  // Fastify listens until it has answered; an error that nobody hears would end the process.
  received.on('error', () => undefined);
  return follow(payload, received);
}

function gunzipped(
  payload: Readable,
  request: FastifyRequest,
  limit: number,
  grow: (bytes: number) => void,
): Readable {
  const received = counted((bytes) => {
    request.receivedBytes = bytes;
    refuseAbove(limit, bytes);
  });
  const unpacked = counted((bytes) => {
    refuseAbove(limit, bytes, ', unpacked');
    grow(bytes);
  });
  // Fastify compares this with the length that was announced.
  Object.defineProperty(unpacked, 'receivedEncodedLength', { get: () => request.receivedBytes });
  pipeline([received, gunzipInto(unpacked), unpacked], () => undefined);
  follow(payload, received, unpacked);
  return unpacked;
}

/** Not by a pipeline: it would destroy the request, and with it the connection before the answer. */
function follow(payload: Readable, received: Transform, last = received): Transform {
  payload.on('error', (error) => last.destroy(error));
  return payload.pipe(received);
}

function refuseAbove(limit: number, bytes: number, how = ''): void {
  if (bytes <= limit) return;
  throw new DomainError('payload_too_large', {
    detail: `The body may have at most ${limit} bytes${how}`,
  });
}

function gunzipInto(unpacked: Transform): Transform {
  const gunzip = zlib.createGunzip({ chunkSize: CHUNK_BYTES });
  return gunzip.once('error', (cause) => {
    // With `ERR_…` another part of the pipeline has failed.
    if (!('errno' in cause)) return;
    const detail = 'The body is not gzip, or its end is missing';
    unpacked.destroy(new DomainError('malformed_request', { detail, cause }));
  });
}

/** Tells how many bytes there are with each chunk, before it is passed on. */
function counted(tell: (bytes: number) => void): Transform {
  let bytes = 0;
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length;
      try {
        tell(bytes);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
}
