import { Injectable } from '@nestjs/common';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { RateLimits } from '../../platform/http/rate-limits/rate-limits.js';
import { type MfaMethod, parseMfaCode } from './codes.js';
import { FactorsRepository, type TotpFactor } from './factors.repository.js';
import { TotpSecrets } from './totp-secrets.js';

/**
 * Who guesses: somebody at the sign-in, or a device that is signed in. They are counted apart, so
 * that a flood of sign-ins takes nothing from the owner's devices.
 */
type Guesser = 'sign_in' | 'device';

/** Checks codes of the second factor. Each is good for one use. */
@Injectable()
export class SecondFactorService {
  constructor(
    private readonly database: Database,
    private readonly factors: FactorsRepository,
    private readonly secrets: TotpSecrets,
    private readonly rateLimits: RateLimits,
  ) {}

  /** The kinds of codes that the user can sign in with; none without a second factor. */
  async listMethods(userId: string): Promise<MfaMethod[]> {
    if (!(await this.findActive(userId))) return [];
    const hasRecoveryCodes = (await this.factors.countRecoveryCodes(userId)) > 0;
    return hasRecoveryCodes ? ['totp', 'recovery_code'] : ['totp'];
  }

  /** What a user may know of the second factor; null without one. */
  async describe(userId: string) {
    const factor = await this.factors.find(userId);
    if (!factor?.activatedAt) return null;
    const recoveryCodesLeft = await this.factors.countRecoveryCodes(userId);
    return { activeSince: factor.activatedAt, recoveryCodesLeft };
  }

  /**
   * Asks a signed-in device for a code, where the user has a second factor.
   *
   * @throws DomainError `mfa_code_required`, `mfa_code_invalid`, `rate_limited`
   */
  async require(userId: string, code: string | undefined): Promise<void> {
    if (!(await this.findActive(userId))) return;
    if (code === undefined) throw new DomainError('mfa_code_required');
    const method = await this.guess('device', userId, () => this.use(userId, code));
    if (!method) throw new DomainError('mfa_code_invalid');
  }

  /** Uses up a code. Null when it is wrong, or was used before. Joins a current transaction. */
  async use(userId: string, typed: string): Promise<MfaMethod | null> {
    const code = parseMfaCode(typed);
    const factor = await this.findActive(userId);
    if (!factor || !code) return null;
    const isUsed =
      code.method === 'totp'
        ? await this.useTotp(userId, factor, code.digits)
        : await this.factors.useRecoveryCode(userId, code.hash);
    return isUsed ? code.method : null;
  }

  /**
   * Runs a check that answers null for a wrong code, at most as often as codes may be guessed. Counted
   * before the check and given back unless the code was wrong, so that the limit is exact for any number
   * at once.
   *
   * @throws DomainError `rate_limited`
   */
  async guess<T>(
    guesser: Guesser,
    userId: string,
    check: () => Promise<T | null>,
  ): Promise<T | null> {
    const key = `${guesser}:${userId}`;
    await this.rateLimits.require('mfa', key);
    let isWrong = false;
    try {
      const result = await check();
      isWrong = result === null;
      return result;
    } finally {
      if (!isWrong) await this.rateLimits.giveBack('mfa', key);
    }
  }

  private async findActive(userId: string): Promise<TotpFactor | null> {
    const factor = await this.factors.find(userId);
    return factor?.activatedAt ? factor : null;
  }

  private async useTotp(userId: string, { secret }: TotpFactor, digits: string): Promise<boolean> {
    const step = this.secrets.findStep(userId, secret, digits);
    if (step === null) return false;
    return this.database.transaction(async () => {
      if (!(await this.factors.useStep(userId, secret, step))) return false;
      const renewed = this.secrets.renew(userId, secret);
      if (renewed) await this.factors.replaceSecret(userId, renewed);
      return true;
    });
  }
}
