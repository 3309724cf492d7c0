import { Body, Controller, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  AuthResult,
  LoginBody,
  LoginResult,
  RefreshBody,
  RegisterBody,
  VerificationRequired,
} from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { Public } from '../platform/http/public.decorator.js';
import { RateLimit } from '../platform/http/rate-limits/rate-limit.decorator.js';
import { SessionsService } from './sessions.service.js';
import { SignInService } from './sign-in.service.js';

@ApiTags('auth')
@Controller('auth')
export class AuthController {
  constructor(
    private readonly signIn: SignInService,
    private readonly sessions: SessionsService,
  ) {}

  @Post('register')
  @Public()
  @RateLimit('auth')
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
    problems: ['validation_failed', 'email_already_used'],
  })
  register(
    @Body({ schema: RegisterBody }) body: RegisterBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<AuthResult> {
    return this.signIn.register(body, client);
  }

  @Post('login')
  @Public()
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'login',
    summary: 'Sign in by password',
    answers: [{ status: 200, description: 'Signed in', schema: LoginResult }],
    problems: ['validation_failed', 'invalid_credentials', 'account_deactivated'],
  })
  login(
    @Body({ schema: LoginBody }) body: LoginBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<LoginResult> {
    return this.signIn.login(body, client);
  }

  @Post('refresh')
  @Public()
  @ApiRoute({
    operationId: 'refresh',
    summary: 'Exchange a refresh token for new tokens',
    answers: [{ status: 200, description: 'New tokens', schema: AuthResult }],
    problems: ['validation_failed', 'refresh_token_invalid', 'refresh_token_reused'],
  })
  refresh(
    @Body({ schema: RefreshBody }) body: RefreshBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<AuthResult> {
    return this.signIn.refresh(body.refreshToken, client);
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
  ): Promise<void> {
    await this.sessions.end(principal, client);
  }
}
