import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { AuthResult } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { DomainError } from '../../platform/errors/domain.error.js';
import { TokenCookies } from './token-cookies.js';

const HEADER = 'X-Token-Transport';

/**
 * Whether a browser asks for cookies. A page of a foreign origin cannot send the header unless CORS
 * lets it.
 *
 * @throws DomainError `malformed_request`: a misspelt header must not put tokens where scripts read them
 */
export function asksForCookies({ headers }: FastifyRequest): boolean {
  const transport = headers[HEADER.toLowerCase()];
  if (transport === undefined || transport === 'cookie') return transport === 'cookie';
  throw new DomainError('malformed_request', { detail: `${HEADER} can only be "cookie"` });
}

/** Takes the tokens out of an answer and into cookies, where the request asks for that. */
@Injectable()
class TokenTransport implements NestInterceptor {
  constructor(private readonly cookies: TokenCookies) {}

  intercept(context: ExecutionContext, next: CallHandler<object>): Observable<object> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (!asksForCookies(request)) return next.handle();
    const reply = http.getResponse<FastifyReply>();
    return next
      .handle()
      .pipe(map((answer) => (isSignedIn(answer) ? this.carry(answer, request, reply) : answer)));
  }

  private carry(
    { accessToken, refreshToken, ...rest }: SignedIn,
    request: FastifyRequest,
    reply: FastifyReply,
  ): AuthResult {
    const sessionExpiresAt = new Date(rest.session.expiresAt);
    this.cookies.set(request, reply, { accessToken, refreshToken, sessionExpiresAt });
    return rest;
  }
}

type SignedIn = AuthResult & { accessToken: string; refreshToken: string };

function isSignedIn(answer: object): answer is SignedIn {
  return 'accessToken' in answer && 'refreshToken' in answer;
}

/** For every route that answers with tokens: they travel in cookies where the request asks for that. */
export const AnswersTokens = () =>
  applyDecorators(
    UseInterceptors(TokenTransport),
    ApiHeader({
      name: HEADER,
      required: false,
      description: 'For browsers: `cookie` puts the tokens into cookies instead of the answer',
      schema: { type: 'string', enum: ['cookie'] },
    }),
  );
