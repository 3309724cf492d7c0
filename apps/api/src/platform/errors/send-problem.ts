import { errorCodes, type Problem } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DomainError } from './domain.error.js';

/** A problem document (RFC 9457) about one request. */
export function toProblem(
  { code, detail, faults }: DomainError,
  { instance, requestId }: Pick<Problem, 'instance' | 'requestId'>,
): Problem {
  const { status, title, meaning, action } = errorCodes[code];
  return {
    type: `urn:rind:problem:${code}`,
    title,
    status,
    detail: detail ?? `${meaning} ${action}`,
    instance,
    code,
    requestId,
    ...(faults && { errors: [...faults] }),
  };
}

/** Answers with a problem document. */
export function sendProblem(
  refusal: DomainError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { code, retryAfterSeconds } = refusal;
  const { status } = errorCodes[code];
  // One search for the code finds all requests that were refused with it.
  request.logged = { ...request.logged, problem: code };
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
  // The answer that this problem takes the place of may have been a compressed one.
  reply.removeHeader('content-encoding');
  // RFC 9110 wants every 401 to name a scheme.
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  const instance = request.url.split('?', 1)[0] ?? '/';
  const problem = toProblem(refusal, { instance, requestId: request.id });
  // Serialised here: Fastify would pick `application/json` for an object.
  void reply
    .status(status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem));
}
