import type { Logger } from '@nestjs/common';
import { isDatabaseUnavailable } from '../database/database-errors.js';
import { DomainError } from '../errors/domain.error.js';

/** What a client is told of an error. One that nobody foresaw is logged here, once. */
export function refusalOf(error: unknown, logger: Logger): DomainError {
  if (error instanceof DomainError) return error;
  if (isDatabaseUnavailable(error)) return new DomainError('service_unavailable');
  logger.error({ err: error, code: 'internal_error' }, 'A socket was not served');
  return new DomainError('internal_error');
}
