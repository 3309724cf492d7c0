import { Body, Controller, HttpStatus, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiTags } from '@nestjs/swagger';
import {
  AuthResult,
  LoginBody,
  LoginResult,
  RefreshBody,
  RegisterBody,
  VerificationRequired,
} from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../platform/errors/domain.error.js';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { Public } from '../platform/http/public.decorator.js';
import { RateLimit } from '../platform/http/rate-limits/rate-limit.decorator.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { AnswersTokens, asksForCookies } from './cookies/token-transport.js';
import { SessionsService } from './sessions.service.js';
import { SignInService } from './sign-in.service.js';

@ApiTags('auth')
@Controller('auth')
export class AuthController {
  constructor(
    private readonly signIn: SignInService,
    private readonly sessions: SessionsService,
    private readonly cookies: TokenCookies,
  ) {}

  @Post('register')
  @Public()
  @RateLimit('auth')
  @AnswersTokens()
  @ApiRoute({
    operationId: 'register',
    summary: 'Create an account and sign in',
    answers: [
      { status: 201, description: 'Signed in', schema: AuthResult },
      {
        status: 202,
        description: 'The address has to be verified before the first sign-in',
        schema: VerificationRequired,
      },
    ],
    problems: [
      'validation_failed',
      'registration_disabled',
      'captcha_failed',
      'email_already_used',
    ],
  })
  async register(
    @Body({ schema: RegisterBody }) body: RegisterBody,
    @CurrentClient() client: ClientInfo,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AuthResult | VerificationRequired> {
    const result = await this.signIn.register(body, client);
    if ('verificationRequired' in result) reply.status(HttpStatus.ACCEPTED);
    return result;
  }

  @Post('login')
  @Public()
  @RateLimit('auth')
  @AnswersTokens()
  @ApiRoute({
    operationId: 'login',
    summary: 'Sign in by password',
    description:
      'A password can be guessed 10 times a day for each account, and from then on once after each pause of 1, 2, 4, 8, then always 15 minutes (`rate_limited` with `Retry-After`). A right one ends that. Installations of the account that are signed in, and networks where one of them was last used, have attempts of their own.',
    answers: [{ status: 200, description: 'Signed in', schema: LoginResult }],
    problems: [
      'validation_failed',
      'invalid_credentials',
      'account_deactivated',
      'email_not_verified',
    ],
  })
  login(
    @Body({ schema: LoginBody }) body: LoginBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<LoginResult> {
    return this.signIn.login(body, client);
  }

  @Post('refresh')
  @Public()
  @AnswersTokens()
  @ApiRoute({
    operationId: 'refresh',
    summary: 'Exchange a refresh token for new tokens',
    description: 'The token is in the body, or in its cookie where tokens travel in cookies.',
    answers: [{ status: 200, description: 'New tokens', schema: AuthResult }],
    problems: ['validation_failed', 'refresh_token_invalid', 'refresh_token_reused'],
  })
  @ApiBody({ required: false })
  refresh(
    @Body({ schema: RefreshBody }) body: RefreshBody,
    @Req() request: FastifyRequest,
    @CurrentClient() client: ClientInfo,
  ): Promise<AuthResult> {
    return this.signIn.refresh(this.refreshTokenOf(request, body), client);
  }

  @Post('logout')
  @ApiRoute({
    operationId: 'logout',
    summary: 'End this session',
    answers: [{ status: 204, description: 'The session has ended' }],
  })
  async logout(
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    await this.sessions.end(principal, client);
    this.cookies.clear(request, reply);
  }

  /** Who does not ask for cookies has none: a script cannot have the token in one turned into a readable one. */
  private refreshTokenOf(request: FastifyRequest, body: RefreshBody): string {
    if (body?.refreshToken !== undefined) return body.refreshToken;
    if (!asksForCookies(request)) {
      const message = 'Required, unless tokens travel in cookies';
      throw new DomainError('validation_failed', {
        faults: [{ pointer: '/refreshToken', code: 'invalid_type', message }],
      });
    }
    const token = this.cookies.refreshTokenOf(request);
    if (token === null) throw new DomainError('refresh_token_invalid');
    return token;
  }
}
