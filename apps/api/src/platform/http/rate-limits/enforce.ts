import type { FastifyReply } from 'fastify';
import { DomainError } from '../../errors/domain.error.js';
import type { RateLimitState } from './rate-limits.js';

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
  if (state.isExceeded) {
    throw new DomainError('rate_limited', { retryAfterSeconds: state.resetSeconds });
  }
}
