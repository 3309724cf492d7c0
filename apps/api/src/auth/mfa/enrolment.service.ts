import { Injectable } from '@nestjs/common';
import type {
  ActivateTotpBody,
  EnrolTotpBody,
  RecoveryCodes,
  RemoveTotpBody,
  RenewRecoveryCodesBody,
  TotpEnrolment,
} from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { UsersService } from '../../users/users.service.js';
import { ReauthenticationService } from '../reauthentication.service.js';
import { SessionsService } from '../sessions.service.js';
import { newRecoveryCodes, parseMfaCode } from './codes.js';
import { FactorsRepository, type TotpFactor } from './factors.repository.js';
import { SecondFactorService } from './second-factor.service.js';
import { TotpSecrets } from './totp-secrets.js';

/** Sets up the second factor of a user, and takes it away. */
@Injectable()
export class EnrolmentService {
  constructor(
    private readonly database: Database,
    private readonly audit: AuditService,
    private readonly users: UsersService,
    private readonly reauthentication: ReauthenticationService,
    private readonly secondFactor: SecondFactorService,
    private readonly factors: FactorsRepository,
    private readonly secrets: TotpSecrets,
    private readonly sessions: SessionsService,
  ) {}

  /**
   * Proposes an authenticator app, which counts once it is activated. An unverified address may be
   * somebody else's, who must not find a factor in the way.
   *
   * @throws DomainError `email_not_verified`, `mfa_already_enrolled`, and as
   *   `ReauthenticationService.require`
   */
  async enrol(
    principal: Principal,
    { password }: EnrolTotpBody,
    client: ClientInfo,
  ): Promise<TotpEnrolment> {
    const { userId } = principal;
    const { email, emailVerified } = await this.users.get(userId);
    if (!emailVerified) throw new DomainError('email_not_verified');
    const factor = await this.factors.find(userId);
    // Before a code of it is asked for, which would be wasted.
    if (factor?.activatedAt) throw new DomainError('mfa_already_enrolled');
    await this.reauthentication.require(principal, { password }, client);
    const { sealed, enrolment } = this.secrets.create(userId, email);
    if (!(await this.factors.propose(userId, sealed))) {
      throw new DomainError('mfa_already_enrolled');
    }
    return enrolment;
  }

  /**
   * @throws DomainError `not_found`, `mfa_already_enrolled`, `mfa_code_invalid`, `rate_limited`,
   *   `session_ended`
   */
  async activate(
    principal: Principal,
    { code }: ActivateTotpBody,
    client: ClientInfo,
  ): Promise<RecoveryCodes> {
    const { userId, sessionId } = principal;
    const factor = await this.getFactor(userId);
    if (factor.activatedAt) throw new DomainError('mfa_already_enrolled');
    const step = await this.secondFactor.guess('device', userId, async () =>
      this.findStep(userId, factor, code),
    );
    if (step === null) throw new DomainError('mfa_code_invalid');
    return this.database.transaction(async () => {
      // A thief whose session has just been ended must not lock the owner out.
      await this.sessions.lockSignedIn(principal);
      if (!(await this.factors.activate(userId, factor.secret, step))) {
        throw new DomainError('mfa_code_invalid');
      }
      await this.audit.record(
        { action: 'factor_added', userId, sessionId, reason: 'totp' },
        client,
      );
      return this.replaceRecoveryCodes(userId);
    });
  }

  /** @throws DomainError `not_found`, `session_ended`, and as `ReauthenticationService.require` */
  async remove(
    principal: Principal,
    { password, code }: RemoveTotpBody,
    client: ClientInfo,
  ): Promise<void> {
    const { userId, sessionId } = principal;
    await this.getActive(userId);
    await this.reauthentication.require(principal, { password, code }, client);
    await this.database.transaction(async () => {
      await this.sessions.lockSignedIn(principal);
      if (!(await this.factors.delete(userId))) throw new DomainError('not_found');
      await this.audit.record(
        { action: 'factor_removed', userId, sessionId, reason: 'totp' },
        client,
      );
    });
  }

  /**
   * The codes before are void.
   *
   * @throws DomainError `not_found`, `mfa_code_invalid`, `rate_limited`, `session_ended`
   */
  async renewRecoveryCodes(
    principal: Principal,
    { code }: RenewRecoveryCodesBody,
    client: ClientInfo,
  ): Promise<RecoveryCodes> {
    const { userId, sessionId } = principal;
    await this.getActive(userId);
    await this.reauthentication.requireCode(principal, code, client);
    return this.database.transaction(async () => {
      // Two at once would leave the codes of both, and those of a factor that is gone would stay.
      await this.sessions.lockSignedIn(principal);
      await this.getActive(userId);
      await this.audit.record({ action: 'recovery_codes_renewed', userId, sessionId }, client);
      return this.replaceRecoveryCodes(userId);
    });
  }

  private findStep(userId: string, { secret }: TotpFactor, typed: string): number | null {
    const code = parseMfaCode(typed);
    return code?.method === 'totp' ? this.secrets.findStep(userId, secret, code.digits) : null;
  }

  private async getFactor(userId: string): Promise<TotpFactor> {
    const factor = await this.factors.find(userId);
    if (!factor) throw new DomainError('not_found', { detail: 'No second factor is enrolled' });
    return factor;
  }

  private async getActive(userId: string): Promise<void> {
    const { activatedAt } = await this.getFactor(userId);
    if (!activatedAt) throw new DomainError('not_found', { detail: 'No second factor is active' });
  }

  private async replaceRecoveryCodes(userId: string): Promise<RecoveryCodes> {
    const { codes, hashes } = newRecoveryCodes();
    await this.factors.replaceRecoveryCodes(userId, hashes);
    return { recoveryCodes: [...codes] };
  }
}
