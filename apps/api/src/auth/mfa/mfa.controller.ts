import { Body, Controller, Delete, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  ActivateTotpBody,
  AuthResult,
  EnrolTotpBody,
  MfaVerifyBody,
  RecoveryCodes,
  RemoveTotpBody,
  RenewRecoveryCodesBody,
  TotpEnrolment,
} from '@rind/contracts';
import { ApiRoute } from '../../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../../platform/http/current-principal.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { Public } from '../../platform/http/public.decorator.js';
import { RateLimit } from '../../platform/http/rate-limits/rate-limit.decorator.js';
import { AnswersTokens } from '../cookies/token-transport.js';
import { passwordProblems } from '../reauthentication.service.js';
import { SignInService } from '../sign-in.service.js';
import { EnrolmentService } from './enrolment.service.js';

@ApiTags('auth')
@Controller('auth/mfa')
export class MfaController {
  constructor(
    private readonly signIn: SignInService,
    private readonly enrolment: EnrolmentService,
  ) {}

  @Post('verify')
  @Public()
  @RateLimit('auth')
  @AnswersTokens()
  @ApiRoute({
    operationId: 'verifyMfa',
    summary: 'Finish a sign-in with a code of the second factor',
    answers: [{ status: 200, description: 'Signed in', schema: AuthResult }],
    problems: ['validation_failed', 'mfa_token_invalid', 'mfa_code_invalid', 'account_deactivated'],
  })
  verify(
    @Body({ schema: MfaVerifyBody }) body: MfaVerifyBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<AuthResult> {
    return this.signIn.verifyMfa(body, client);
  }

  @Post('totp')
  @ApiRoute({
    operationId: 'enrolTotp',
    summary: 'Propose an authenticator app as second factor',
    description: 'Nothing changes until it is activated with a first code; until then, ask again.',
    answers: [{ status: 200, description: 'What the app must be told', schema: TotpEnrolment }],
    problems: [
      'validation_failed',
      'email_not_verified',
      ...passwordProblems,
      'mfa_already_enrolled',
    ],
  })
  enrolTotp(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: EnrolTotpBody }) body: EnrolTotpBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<TotpEnrolment> {
    return this.enrolment.enrol(principal, body, client);
  }

  @Post('totp/activate')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'activateTotp',
    summary: 'Activate the authenticator app with a first code',
    answers: [{ status: 200, description: 'From now on it is asked for', schema: RecoveryCodes }],
    problems: ['validation_failed', 'not_found', 'mfa_already_enrolled', 'mfa_code_invalid'],
  })
  activateTotp(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: ActivateTotpBody }) body: ActivateTotpBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<RecoveryCodes> {
    return this.enrolment.activate(principal, body, client);
  }

  @Delete('totp')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'removeTotp',
    summary: 'Remove the authenticator app and the recovery codes',
    answers: [{ status: 204, description: 'The password is enough again' }],
    problems: ['validation_failed', 'not_found', ...passwordProblems, 'mfa_code_invalid'],
  })
  async removeTotp(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: RemoveTotpBody }) body: RemoveTotpBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<void> {
    await this.enrolment.remove(principal, body, client);
  }

  @Post('recovery-codes')
  @RateLimit('auth')
  @ApiRoute({
    operationId: 'renewRecoveryCodes',
    summary: 'Get new recovery codes; the old ones are void',
    answers: [{ status: 200, description: 'The new codes', schema: RecoveryCodes }],
    problems: ['validation_failed', 'not_found', 'mfa_code_invalid'],
  })
  renewRecoveryCodes(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: RenewRecoveryCodesBody }) body: RenewRecoveryCodesBody,
    @CurrentClient() client: ClientInfo,
  ): Promise<RecoveryCodes> {
    return this.enrolment.renewRecoveryCodes(principal, body, client);
  }
}
