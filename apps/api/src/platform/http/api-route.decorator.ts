import {
  applyDecorators,
  HttpCode,
  SerializeOptions,
  StandardSchemaSerializerInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiExtension, ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { ErrorCode } from '@rind/contracts';
import { z } from 'zod';

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
  readonly description?: string;
  /** What the route answers; the first one is what it answers by default. */
  readonly answers: readonly [Answer, ...Answer[]];
  /** The handler writes the JSON itself, so that a large answer is not walked through once more. */
  readonly answersText?: boolean;
  /** Codes beside those that every route may answer with. */
  readonly problems?: readonly ErrorCode[];
}

/** Declares a route to its callers. The OpenAPI document is made from this and from `@Public()`. */
export function ApiRoute({
  operationId,
  summary,
  description,
  answers,
  answersText = false,
  problems = [],
}: ApiRouteOptions) {
  const schemas = [...new Set(answers.flatMap(({ schema }) => schema ?? []))];
  return applyDecorators(
    HttpCode(answers[0].status),
    ...(answersText || schemas.length === 0 ? [] : [heldAgainst(z.union(schemas))]),
    ApiOperation({ operationId, summary, ...(description && { description }) }),
    ...answers.map(({ status, description, schema }) =>
      ApiResponse({ status, description, ...(schema && { standardSchema: schema }) }),
    ),
    ApiExtension(PROBLEM_CODES, problems),
  );
}

/** What the schema does not name is left out of the answer; one that does not fit is an internal error. */
const heldAgainst = (schema: z.ZodType) =>
  applyDecorators(
    SerializeOptions({ schema }),
    UseInterceptors(StandardSchemaSerializerInterceptor),
  );
