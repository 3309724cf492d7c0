import { Body, Controller, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { MailTokenBody, RequestMailBody, ResetPasswordBody } from '@rind/contracts';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { Public } from '../../platform/http/public.decorator.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { EmailVerificationService } from './email-verification.service.js';
import { PasswordRecoveryService } from './password-recovery.service.js';

/** What the pages behind the links in mails call, and what asks for those mails. */
@ApiTags('auth')
@Public()
@RateLimit('auth')
@Controller('auth')
export class RecoveryController {
  constructor(
    private readonly verification: EmailVerificationService,
    private readonly recovery: PasswordRecoveryService,
  ) {}

  @Post('email/verify')
  @ApiRoute({
    operationId: 'verifyEmail',
    summary: 'Verify an address with the token of a mail',
    answers: [{ status: 204, description: 'The address is verified' }],
    problems: ['validation_failed', 'mail_token_invalid'],
  })
  async verifyEmail(
    @Body({ schema: MailTokenBody }) { token }: MailTokenBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.verification.verify(token, client);
  }

  @Post('email/resend')
  @ApiRoute({
    operationId: 'resendVerificationEmail',
    summary: 'Ask for the verification mail again',
    answers: [
      { status: 202, description: 'If an unverified account has the address, it gets a mail' },
    ],
    problems: ['validation_failed', 'captcha_failed'],
  })
  async resendVerificationEmail(
    @Body({ schema: RequestMailBody }) body: RequestMailBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.verification.resend(body, client);
  }

  @Post('email/disown')
  @ApiRoute({
    operationId: 'disownAccount',
    summary: 'Remove an unverified account that somebody else made with the own address',
    answers: [{ status: 204, description: 'The account is gone' }],
    problems: ['validation_failed', 'mail_token_invalid'],
  })
  async disownAccount(
    @Body({ schema: MailTokenBody }) { token }: MailTokenBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.verification.disown(token, client);
  }

  @Post('password/forgot')
  @ApiRoute({
    operationId: 'forgotPassword',
    summary: 'Ask for a mail that lets choose a new password',
    answers: [{ status: 202, description: 'If an account has the address, it gets a mail' }],
    problems: ['validation_failed', 'captcha_failed'],
  })
  async forgotPassword(
    @Body({ schema: RequestMailBody }) body: RequestMailBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.recovery.request(body, client);
  }

  @Post('password/reset')
  @ApiRoute({
    operationId: 'resetPassword',
    summary: 'Choose a new password with the token of a mail',
    description: 'Ends all sessions of the account, and verifies its address.',
    answers: [{ status: 204, description: 'The new password is set' }],
    problems: ['validation_failed', 'mail_token_invalid'],
  })
  async resetPassword(
    @Body({ schema: ResetPasswordBody }) body: ResetPasswordBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.recovery.reset(body, client);
  }
}
