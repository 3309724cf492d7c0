import { z } from 'zod';
import type { ErrorCode } from '../errors.js';

const invalidCursor: ErrorCode = 'invalid_cursor';

/**
 * A cursor as a number, 0 for null: fractions are cut, as the client cuts them (rule 3). Anything
 * but a non-negative safe integer is the problem `invalid_cursor`. In a query it is decimal text.
 */
export function parseCursor(
  value: unknown,
  context: z.core.$RefinementCtx<unknown>,
  form: 'text' | 'number',
): number {
  if (value === null) return 0;
  const number = form === 'number' ? value : decimal(value);
  if (typeof number === 'number' && number >= 0 && number <= Number.MAX_SAFE_INTEGER) {
    return Math.trunc(number);
  }
  context.addIssue({
    code: 'custom',
    message: 'Expected the timestamp of an earlier pull: a non-negative integer',
    params: { problem: invalidCursor },
  });
  return z.NEVER;
}

function decimal(value: unknown): number | undefined {
  return typeof value === 'string' && /^\d{1,17}(\.\d{1,20})?$/.test(value)
    ? Number(value)
    : undefined;
}
