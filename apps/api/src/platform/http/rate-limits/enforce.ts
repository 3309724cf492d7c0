import type { FastifyReply } from 'fastify';
import { type RateLimitState, refuseIfExceeded } from './rate-limits.js';

/**
 * Tells the caller what is left of a budget, in the header fields of
 * draft-ietf-httpapi-ratelimit-headers; null stands for no limit.
 *
 * @throws DomainError `rate_limited` when nothing is left
 */
export function enforce(state: RateLimitState | null, reply: FastifyReply): void {
  if (!state) return;
  reply.header('ratelimit-policy', `"${state.budget}";q=${state.limit};w=60`);
  reply.header('ratelimit', `"${state.budget}";r=${state.remaining};t=${state.resetSeconds}`);
  refuseIfExceeded(state);
}
