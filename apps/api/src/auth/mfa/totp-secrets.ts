import { Injectable } from '@nestjs/common';
import type { TotpEnrolment } from '@rind/contracts';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { type SealedSecret, SecretBox } from '../../platform/encryption/secret-box.js';
import { describeTotp, findTotpStep, newTotpSecret } from './totp.js';

/** Secrets of authenticator apps. Only in here they stand in clear, and once before their owner's eyes. */
@Injectable()
export class TotpSecrets {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly box: SecretBox,
  ) {}

  create(userId: string, account: string): { sealed: SealedSecret; enrolment: TotpEnrolment } {
    const secret = newTotpSecret();
    return {
      sealed: this.box.seal(secret, nameOf(userId)),
      enrolment: describeTotp(secret, this.config.auth.totpIssuer, account),
    };
  }

  /** The time step of a right code, null for a wrong one. */
  findStep(userId: string, sealed: SealedSecret, digits: string): number | null {
    return findTotpStep(this.box.open(sealed, nameOf(userId)), digits, Date.now());
  }

  /** The same secret under the current key; null when it is. */
  renew(userId: string, sealed: SealedSecret): SealedSecret | null {
    if (!this.box.isOutdated(sealed)) return null;
    return this.box.seal(this.box.open(sealed, nameOf(userId)), nameOf(userId));
  }
}

/** Binds an encrypted secret to its user. */
function nameOf(userId: string): string {
  return `totp:${userId}`;
}
