import { Body, Controller, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { ChangeEmailBody, ChangePasswordBody, MailTokenBody } from '@rind/contracts';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../../platform/http/current-principal.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { reauthenticationProblems } from '../reauthentication.service.js';
import { CredentialChangesService } from './credential-changes.service.js';

@ApiTags('users')
@Controller('users/me')
export class CredentialsController {
  constructor(private readonly changes: CredentialChangesService) {}

  @Post('password')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'changePassword',
    summary: 'Change or set the password',
    description: 'Ends all other sessions.',
    answers: [{ status: 204, description: 'The new password is set' }],
    problems: ['validation_failed', ...reauthenticationProblems],
  })
  async changePassword(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: ChangePasswordBody }) body: ChangePasswordBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.changes.changePassword(principal, body, client);
  }

  @Post('email')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'changeEmail',
    summary: 'Ask for another address',
    answers: [{ status: 202, description: 'The new address gets a mail to confirm it' }],
    problems: ['validation_failed', ...reauthenticationProblems, 'email_not_verified'],
  })
  async changeEmail(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: ChangeEmailBody }) body: ChangeEmailBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.changes.requestEmailChange(principal, body, client);
  }

  @Post('email/confirm')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'confirmEmailChange',
    summary: 'Confirm another address with the token of a mail',
    answers: [{ status: 204, description: 'The account has the new address' }],
    problems: ['validation_failed', 'mail_token_invalid', 'email_already_used'],
  })
  async confirmEmailChange(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: MailTokenBody }) { token }: MailTokenBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.changes.confirmEmailChange(principal, token, client);
  }
}
