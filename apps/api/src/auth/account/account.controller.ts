import { Body, Controller, Delete, Get, Header, Req, Res, StreamableFile } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { AccountExport, DeleteAccountBody } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { CurrentPrincipal } from '../../platform/http/current-principal.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { TokenCookies } from '../cookies/token-cookies.js';
import { reauthenticationProblems } from '../reauthentication.service.js';
import { AccountDeletionService } from './account-deletion.service.js';
import { AccountExportService } from './account-export.service.js';

@ApiTags('users')
@Controller('users/me')
export class AccountController {
  constructor(
    private readonly exports: AccountExportService,
    private readonly deletion: AccountDeletionService,
    private readonly cookies: TokenCookies,
  ) {}

  @Get('export')
  @Header('content-type', 'application/json; charset=utf-8')
  @Header('content-disposition', 'attachment; filename="account.json"')
  @ApiRoute({
    operationId: 'exportMe',
    summary: 'Everything that is stored about the signed-in user, as a file',
    description: 'What breaks off ends without its last brackets, and with a broken connection.',
    answers: [{ status: 200, description: 'The file', schema: AccountExport }],
    answersText: true,
  })
  async exportMe(
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
  ): Promise<StreamableFile> {
    return new StreamableFile(await this.exports.open(principal, client, request.signal));
  }

  @Delete()
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'deleteMe',
    summary: 'Delete the account of the signed-in user, and all that belongs to it, for ever',
    description: 'Needs the password, or a sign-in of the last 10 minutes; then the body is `{}`.',
    answers: [{ status: 204, description: 'Nothing is left' }],
    problems: ['validation_failed', ...reauthenticationProblems, 'last_admin'],
  })
  async deleteMe(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: DeleteAccountBody }) body: DeleteAccountBody,
    @CurrentClient() client: ClientInfo,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    await this.deletion.delete(principal, body, client);
    this.cookies.clear(request, reply);
  }
}
