import { z } from 'zod';
import { errorCodes, type ErrorCode } from './errors.js';
import { openEnum } from './open-enum.js';

const codes = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]];

export const ProblemFault = z
  .object({
    pointer: z.string().meta({
      description: 'JSON Pointer (RFC 6901) to the place in the request body or query',
      example: '/email',
    }),
    code: z.string().meta({ example: 'invalid_format' }),
    message: z.string().meta({ example: 'Invalid email address' }),
  })
  .meta({ id: 'ProblemFault' });
export type ProblemFault = z.infer<typeof ProblemFault>;

/** Problem document, RFC 9457, with `code`, `requestId` and `errors` as extensions. */
export const Problem = z
  .object({
    type: z.string().meta({ example: 'urn:rind:problem:validation_failed' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().meta({ description: 'Path of the request' }),
    code: openEnum(codes).meta({
      description: 'Stable; a client must be ready for codes that it does not know',
    }),
    requestId: z.string(),
    errors: z.array(ProblemFault).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;
