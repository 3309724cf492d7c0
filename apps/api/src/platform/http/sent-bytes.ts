import { Stream } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Counts the bytes of an answer's body, to be called when it is about to be sent. Of a stream they
 * are known when it has been read, however far that was.
 */
export function countSentBytes(
  request: FastifyRequest,
  { raw }: FastifyReply,
  payload: unknown,
): void {
  if (payload instanceof Stream) {
    request.sentBytes = 0;
    const write = raw.write.bind(raw) as (chunk: Uint8Array, ...rest: unknown[]) => boolean;
    raw.write = (chunk: Uint8Array, ...rest: unknown[]) => {
      request.sentBytes! += chunk.length;
      return write(chunk, ...rest);
    };
  } else if (typeof payload === 'string' || payload instanceof Uint8Array) {
    request.sentBytes = request.method === 'HEAD' ? 0 : Buffer.byteLength(payload);
  }
}
