import type { FastifyReply } from 'fastify';

/** As nginx says it; there is no official one. */
const CLIENT_CLOSED_REQUEST = 499;

/** Whether the client closed its connection before it had all of its answer. */
export function hasLeft({ raw }: FastifyReply): boolean {
  return raw.closed && !raw.writableFinished;
}

/** What became of a request. */
export function statusOf(reply: FastifyReply): number {
  return hasLeft(reply) ? CLIENT_CLOSED_REQUEST : reply.statusCode;
}
