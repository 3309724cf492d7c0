import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Language } from '@rind/contracts';
import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';

/** The first one is taken where the caller prefers none that there is. */
const languages = ['en', 'de'] as const satisfies readonly Language[];

/** The language that a caller asks for with `Accept-Language`. */
export const PreferredLanguage = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Language => {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const preferred = new Negotiator(request.raw).language([...languages]);
    return Language.safeParse(preferred).data ?? languages[0];
  },
);
