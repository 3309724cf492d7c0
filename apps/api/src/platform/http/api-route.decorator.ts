import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiExtension, ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { ErrorCode } from '@rind/contracts';
import type { z } from 'zod';

export const PROBLEM_CODES = 'x-problem-codes';

interface Answer {
  readonly status: number;
  readonly description: string;
  readonly schema?: z.ZodType;
}

interface ApiRouteOptions {
  /** Unique; the SDK's function has this name. */
  readonly operationId: string;
  readonly summary: string;
  /** What the route answers; the first one is what it answers by default. */
  readonly answers: readonly [Answer, ...Answer[]];
  /** Codes beside those that every route may answer with. */
  readonly problems?: readonly ErrorCode[];
}

/** Declares a route to its callers. The OpenAPI document is made from this and from `@Public()`. */
export function ApiRoute({ operationId, summary, answers, problems = [] }: ApiRouteOptions) {
  return applyDecorators(
    HttpCode(answers[0].status),
    ApiOperation({ operationId, summary }),
    ...answers.map(({ status, description, schema }) =>
      ApiResponse({ status, description, ...(schema && { standardSchema: schema }) }),
    ),
    ApiExtension(PROBLEM_CODES, problems),
  );
}
