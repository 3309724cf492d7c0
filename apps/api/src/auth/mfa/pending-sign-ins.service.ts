import { Injectable } from '@nestjs/common';
import type { MfaRequired, MfaVerifyBody } from '@rind/contracts';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import { digest, newSecret } from '../one-time-secrets.js';
import { SessionsService } from '../sessions.service.js';
import type { SignIn } from '../sign-in.js';
import type { MfaMethod } from './codes.js';
import { PendingSignInsRepository } from './pending-sign-ins.repository.js';
import { SecondFactorService } from './second-factor.service.js';

const LIFETIME_SECONDS = 300;
const MAX_ATTEMPTS = 5;

/** A sign-in whose second factor was right. */
export interface CompletedSignIn {
  readonly signIn: SignIn;
  readonly factor: MfaMethod;
}

/** Keeps sign-ins between their first and their second factor. */
@Injectable()
export class PendingSignInsService {
  constructor(
    private readonly database: Database,
    private readonly sessions: SessionsService,
    private readonly secondFactor: SecondFactorService,
    private readonly pending: PendingSignInsRepository,
  ) {}

  /** Null without a second factor. Joins a current transaction. @throws as `SessionsService.lockUser` */
  async begin(signIn: SignIn): Promise<MfaRequired | null> {
    return this.database.transaction(async () => {
      // First, so that who ends the user's sessions meanwhile finds either no token or this one.
      await this.sessions.lockUser(signIn);
      const methods = await this.secondFactor.listMethods(signIn.userId);
      if (methods.length === 0) return null;
      const mfaToken = newSecret();
      await this.pending.create({
        tokenHash: digest(mfaToken),
        signIn,
        lifetimeSeconds: LIFETIME_SECONDS,
      });
      return { mfaRequired: true, mfaToken, methods };
    });
  }

  /** Whose sign-in it is. @throws DomainError `mfa_token_invalid` when there is none such */
  async getUserId(mfaToken: string): Promise<string> {
    const userId = await this.pending.findUserId(digest(mfaToken), MAX_ATTEMPTS);
    if (userId === null) throw new DomainError('mfa_token_invalid');
    return userId;
  }

  /**
   * Uses up the token with a right code, in the transaction that signs in.
   *
   * @throws DomainError `mfa_token_invalid`, `mfa_code_invalid`, `account_deactivated`, `rate_limited`
   */
  async complete<T>(
    { userId, mfaToken, code }: MfaVerifyBody & { userId: string },
    signIn: (completed: CompletedSignIn) => Promise<T>,
  ): Promise<T> {
    const result = await this.secondFactor.guess('sign_in', userId, () =>
      this.database.transaction(async () => {
        const completed = await this.attempt(userId, digest(mfaToken), code);
        return completed && (await signIn(completed));
      }),
    );
    // Behind the transaction, which has to keep the count of wrong codes.
    if (result === null) throw new DomainError('mfa_code_invalid');
    return result;
  }

  private async attempt(
    userId: string,
    tokenHash: Uint8Array<ArrayBuffer>,
    code: string,
  ): Promise<CompletedSignIn | null> {
    // As whoever ends the user's sessions: the user first, then what hangs on it.
    await this.sessions.lockUser({ userId });
    const signIn = await this.pending.attempt(tokenHash, MAX_ATTEMPTS);
    if (!signIn) throw new DomainError('mfa_token_invalid');
    const factor = await this.secondFactor.use(userId, code);
    if (!factor) return null;
    await this.pending.delete(tokenHash);
    return { signIn, factor };
  }
}
