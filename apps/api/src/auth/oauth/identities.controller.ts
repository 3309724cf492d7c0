import { Body, Controller, Delete, Get, Param, Post, UseGuards } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  Identity,
  IdentityList,
  LinkIdentityBody,
  LinkIdentityTokenBody,
  UnlinkIdentityBody,
} from '@rind/contracts';
import { z } from 'zod';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../../platform/http/current-principal.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { reauthenticationProblems } from '../reauthentication.service.js';
import { ConfiguredProviderGuard } from './configured-provider.guard.js';
import { IdentitiesService } from './identities.service.js';
import { IdentityLinkingService } from './identity-linking.service.js';
import { ProviderParam, unlessConfigured } from './oauth.controller.js';

const linkingProblems = [
  'validation_failed',
  'email_not_verified',
  ...reauthenticationProblems,
  'identity_unproven',
  'identity_already_linked',
] as const;

@ApiTags('auth')
@Controller('auth/identities')
export class IdentitiesController {
  constructor(
    private readonly identities: IdentitiesService,
    private readonly linking: IdentityLinkingService,
  ) {}

  @Get()
  @ApiRoute({
    operationId: 'listIdentities',
    summary: 'The accounts at providers that sign this user in',
    answers: [{ status: 200, description: 'The identities', schema: IdentityList }],
  })
  list(@CurrentPrincipal() principal: Principal): Promise<IdentityList> {
    return this.identities.list(principal);
  }

  @Post()
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'linkIdentity',
    summary: 'Link the account at a provider that a browser has just been to',
    description: 'Begin with `GET /auth/oauth/{provider}?purpose=link`. Linking twice is no error.',
    answers: [{ status: 200, description: 'It signs this user in', schema: Identity }],
    problems: linkingProblems,
  })
  link(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: LinkIdentityBody }) body: LinkIdentityBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<Identity> {
    return this.linking.linkByCode(principal, body, client);
  }

  @Post('token/:provider')
  @RateLimit('auth')
  @UseGuards(ConfiguredProviderGuard)
  @ApiRoute({
    operationId: 'linkIdentityWithToken',
    summary: "Link an account with what a provider's own library gave a native app",
    description: `Linking twice is no error. ${unlessConfigured}`,
    answers: [{ status: 200, description: 'It signs this user in', schema: Identity }],
    problems: ['not_found', ...linkingProblems, 'oauth_failed'],
  })
  linkWithToken(
    @Param('provider', { schema: ProviderParam }) provider: string,
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: LinkIdentityTokenBody }) body: LinkIdentityTokenBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<Identity> {
    return this.linking.linkByToken(principal, provider, body, client);
  }

  @Delete(':id')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'unlinkIdentity',
    summary: 'Remove one of them',
    answers: [{ status: 204, description: 'The identity signs nobody in any more' }],
    description: 'Needs the password, or a sign-in of the last 10 minutes; then the body is `{}`.',
    problems: [
      'validation_failed',
      'not_found',
      ...reauthenticationProblems,
      'last_sign_in_method',
    ],
  })
  async unlink(
    @Param('id', { schema: z.uuid() }) id: string,
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: UnlinkIdentityBody }) body: UnlinkIdentityBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.identities.unlink(id, principal, body, client);
  }
}
