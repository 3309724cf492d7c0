import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  Logger,
} from '@nestjs/common';
import { errorCodes, type ErrorCode } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isDatabaseUnavailable, reasonOf } from '../database/database-errors.js';
import { DomainError } from './domain.error.js';
import { sendProblem } from './send-problem.js';

/** Statuses of errors that the framework itself throws, such as a body that cannot be read. */
const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'malformed_request',
  401: 'unauthenticated',
  404: 'not_found',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  422: 'validation_failed',
  429: 'rate_limited',
  503: 'service_unavailable',
};

const UNAVAILABLE_RETRY_AFTER_SECONDS = 5;

/** Renders every error as a problem document (RFC 9457). What nobody foresaw is logged here, once. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Errors');

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const refusal = toDomainError(error, request);
    if (errorCodes[refusal.code].status >= 500 && !(error instanceof DomainError))
      this.tell(error, refusal, request);
    sendProblem(refusal, request, http.getResponse<FastifyReply>());
  }

  private tell(error: unknown, { code }: DomainError, { id: requestId }: FastifyRequest): void {
    // Where a connection was lost is of no interest, and in an outage all requests would tell.
    if (isDatabaseUnavailable(error)) {
      const reason = reasonOf(error);
      this.logger.warn({ reason, requestId, code }, 'Request failed');
    } else this.logger.error({ err: error, requestId, code }, 'Request failed');
  }
}

function toDomainError(error: unknown, request: FastifyRequest): DomainError {
  if (error instanceof DomainError) return error;
  // The client has left in the middle of its body: nobody reads this.
  if (!request.raw.complete && request.raw.errored) return new DomainError('malformed_request');
  if (isDatabaseUnavailable(error)) {
    return new DomainError('service_unavailable', {
      retryAfterSeconds: UNAVAILABLE_RETRY_AFTER_SECONDS,
    });
  }
  const status = statusOf(error);
  const code = status === undefined ? undefined : codeOfStatus[status];
  if (code !== undefined) return new DomainError(code, detailOf(code, request));
  // Any other refusal of the framework is about the request, not about this server.
  if (status !== undefined && status < 500) return new DomainError('malformed_request');
  return new DomainError('internal_error');
}

/** What the caller can do with, where the framework refused the request. */
function detailOf(
  code: ErrorCode,
  { method, url, routeOptions }: FastifyRequest,
): { detail?: string } {
  if (code === 'not_found') {
    return { detail: `There is no route ${method} ${url.split('?', 1)[0]}` };
  }
  if (code === 'payload_too_large') {
    return { detail: `The body may have at most ${routeOptions.bodyLimit} bytes` };
  }
  return {};
}

/** Nest's exceptions have a method for it, Fastify's errors (`FST_ERR_…`) a property. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number') {
    return error.statusCode;
  }
  return undefined;
}
