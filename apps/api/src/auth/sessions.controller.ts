import { Controller, Delete, Get, Param, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { SessionList } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { SessionsService } from './sessions.service.js';

@ApiTags('auth')
@Controller('auth/sessions')
export class SessionsController {
  constructor(
    private readonly sessions: SessionsService,
    private readonly cookies: TokenCookies,
  ) {}

  @Get()
  @ApiRoute({
    operationId: 'listSessions',
    summary: 'The devices that the user is signed in on',
    description: 'The one used last comes first.',
    answers: [{ status: 200, description: 'All sessions', schema: SessionList }],
  })
  async list(@CurrentPrincipal() principal: Principal): Promise<SessionList> {
    return { items: await this.sessions.list(principal), nextCursor: null };
  }

  @Delete(':id')
  @ApiRoute({
    operationId: 'endSession',
    summary: 'Sign a device out, this one or another',
    answers: [{ status: 204, description: 'The session has ended' }],
    problems: ['validation_failed', 'not_found'],
  })
  async end(
    @Param('id', { schema: z.uuid() }) id: string,
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    await this.sessions.endOne(principal, id, client);
    if (id === principal.sessionId) this.cookies.clear(request, reply);
  }

  @Delete()
  @ApiRoute({
    operationId: 'endOtherSessions',
    summary: 'Sign all other devices out',
    answers: [{ status: 204, description: 'Of all sessions this one is left' }],
  })
  async endOthers(
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.sessions.endOthers(principal, client);
  }
}
