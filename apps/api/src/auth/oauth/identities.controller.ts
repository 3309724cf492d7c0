import { Controller, Delete, Get, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { IdentityList } from '@rind/contracts';
import { z } from 'zod';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../../platform/http/current-principal.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { IdentitiesService } from './identities.service.js';

@ApiTags('auth')
@Controller('auth/identities')
export class IdentitiesController {
  constructor(private readonly identities: IdentitiesService) {}

  @Get()
  @ApiRoute({
    operationId: 'listIdentities',
    summary: 'The accounts at providers that sign this user in',
    answers: [{ status: 200, description: 'The identities', schema: IdentityList }],
  })
  list(@CurrentPrincipal() principal: Principal): Promise<IdentityList> {
    return this.identities.list(principal);
  }

  @Delete(':id')
  @ApiRoute({
    operationId: 'unlinkIdentity',
    summary: 'Remove one of them',
    answers: [{ status: 204, description: 'The identity signs nobody in any more' }],
    problems: ['validation_failed', 'not_found', 'last_sign_in_method'],
  })
  async unlink(
    @Param('id', { schema: z.uuid() }) id: string,
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.identities.unlink(id, principal, client);
  }
}
