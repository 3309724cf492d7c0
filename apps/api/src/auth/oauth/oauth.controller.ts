import { Body, Controller, Get, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  ExchangeOAuthBody,
  type Language,
  LoginResult,
  OAuthTokenBody,
  StartOAuthQuery,
} from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { Public } from '../../platform/http/public.decorator.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { AnswersTokens } from '../cookies/token-transport.js';
import { ConfiguredProviderGuard } from './configured-provider.guard.js';
import { FlowCookie } from './flow-cookie.js';
import { OAuthFlowsService, type Return } from './oauth-flows.service.js';
import { OAuthSignInService } from './oauth-sign-in.service.js';
import { PreferredLanguage } from './preferred-language.decorator.js';

export const ProviderParam = z.string().max(50);
export const unlessConfigured =
  'Providers are off, with 404, until the server is configured for them.';

@ApiTags('auth')
@Controller('auth/oauth')
export class OAuthController {
  constructor(
    private readonly flows: OAuthFlowsService,
    private readonly signIn: OAuthSignInService,
    private readonly cookie: FlowCookie,
  ) {}

  @Post('exchange')
  @Public()
  @RateLimit('auth')
  @AnswersTokens()
  @ApiRoute({
    operationId: 'exchangeOAuthCode',
    summary: 'Exchange the code of a return address for tokens',
    answers: [{ status: 200, description: 'Signed in', schema: LoginResult }],
    problems: [
      'validation_failed',
      'oauth_code_invalid',
      'account_deactivated',
      'email_not_verified',
    ],
  })
  exchange(
    @Body({ schema: ExchangeOAuthBody }) body: ExchangeOAuthBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<LoginResult> {
    return this.signIn.exchange(body, client);
  }

  @Get(':provider')
  @Public()
  @UseGuards(ConfiguredProviderGuard)
  @ApiRoute({
    operationId: 'startOAuth',
    summary: 'Send the browser to `google`, `apple` or `facebook`',
    description: `Open in a browser. ${unlessConfigured}`,
    answers: [{ status: 302, description: 'To the provider' }],
    problems: ['not_found', 'validation_failed', 'return_url_not_allowed', 'oauth_failed'],
  })
  async start(
    @Param('provider', { schema: ProviderParam }) provider: string,
    @Query({ schema: StartOAuthQuery }) query: StartOAuthQuery,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { url, cookie } = await this.flows.start(provider, query);
    this.cookie.set(reply, cookie);
    reply.redirect(url, 302);
  }

  @Get(':provider/callback')
  @Public()
  @UseGuards(ConfiguredProviderGuard)
  @ApiRoute({
    operationId: 'finishOAuth',
    summary: 'Where providers send the browser back to',
    description: `Not for apps to call. ${unlessConfigured}`,
    answers: [{ status: 302, description: 'To the app, with `code` or `error`' }],
    problems: ['not_found', 'oauth_flow_invalid'],
  })
  async finish(
    @Param('provider', { schema: ProviderParam }) provider: string,
    @PreferredLanguage() language: Language,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const parameters = request.url.split('?').slice(1).join('?');
    const cookie = this.cookie.read(request);
    await this.sendBack({ provider, cookie, parameters, language, client }, reply);
  }

  @Post(':provider/callback')
  @Public()
  @UseGuards(ConfiguredProviderGuard)
  @ApiRoute({
    operationId: 'finishOAuthForm',
    summary: 'Where Apple posts what others put into the address',
    description: `Not for apps to call. ${unlessConfigured}`,
    answers: [{ status: 302, description: 'To the app, with `code` or `error`' }],
    problems: ['not_found', 'oauth_flow_invalid', 'payload_too_large', 'unsupported_media_type'],
  })
  async finishForm(
    @Param('provider', { schema: ProviderParam }) provider: string,
    @PreferredLanguage() language: Language,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const parameters = typeof request.body === 'string' ? request.body : '';
    const cookie = this.cookie.read(request);
    await this.sendBack({ provider, cookie, parameters, language, client }, reply);
  }

  @Post(':provider/token')
  @Public()
  @UseGuards(ConfiguredProviderGuard)
  @RateLimit('auth')
  @AnswersTokens()
  @ApiRoute({
    operationId: 'signInWithOAuthToken',
    summary: "Sign in with what a provider's own library gave a native app",
    description: unlessConfigured,
    answers: [{ status: 200, description: 'Signed in', schema: LoginResult }],
    problems: [
      'not_found',
      'validation_failed',
      'oauth_token_invalid',
      'oauth_email_missing',
      'oauth_email_unverified',
      'account_deactivated',
      'email_not_verified',
      'oauth_failed',
    ],
  })
  signInNatively(
    @Param('provider', { schema: ProviderParam }) provider: string,
    @Body({ schema: OAuthTokenBody }) body: OAuthTokenBody,
    @PreferredLanguage() language: Language,
    @CurrentClient() client: ClientInfo,
  ): Promise<LoginResult> {
    return this.signIn.signInNatively(provider, body, { client, language });
  }

  private async sendBack(visit: Return, reply: FastifyReply): Promise<void> {
    const url = await this.flows.finish(visit);
    // Not where it was refused: a foreign site could end the flow of somebody who is still on the way.
    this.cookie.clear(reply);
    reply.redirect(url, 302);
  }
}
