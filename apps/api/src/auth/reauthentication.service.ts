import { Injectable } from '@nestjs/common';
import type { ErrorCode } from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { PasswordHasher } from '../platform/passwords/password-hasher.js';
import { UsersService } from '../users/users.service.js';
import { SecondFactorService } from './mfa/second-factor.service.js';
import { PasswordAttempts } from './password-attempts.js';
import { SessionsService } from './sessions.service.js';

/** What a caller offers to show that it is still its user who holds the device. */
export interface Reauthentication {
  readonly password?: string | undefined;
  /** Of the second factor. */
  readonly code?: string | undefined;
}

/** Where no code is asked for, or always. */
export const passwordProblems = [
  'reauthentication_required',
  'reauthentication_failed',
] as const satisfies readonly ErrorCode[];

/** What routes declare that ask for it. */
export const reauthenticationProblems = [
  ...passwordProblems,
  'mfa_code_required',
  'mfa_code_invalid',
] as const satisfies readonly ErrorCode[];

/** Somebody tried, and was wrong; a question for the proof is none of these. */
const guesses: readonly ErrorCode[] = [
  'reauthentication_failed',
  'mfa_code_invalid',
  'rate_limited',
];

/**
 * Guards what an unlocked phone in the wrong hands must not do: it needs the password, or a sign-in
 * of the last 10 minutes, and a code of the second factor where one is enrolled.
 */
@Injectable()
export class ReauthenticationService {
  constructor(
    private readonly audit: AuditService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly hasher: PasswordHasher,
    private readonly attempts: PasswordAttempts,
    private readonly secondFactor: SecondFactorService,
  ) {}

  /**
   * @throws DomainError `reauthentication_required`, `reauthentication_failed`, `session_ended`,
   *   `mfa_code_required`, `mfa_code_invalid`, `rate_limited`
   */
  async require(
    principal: Principal,
    { password, code }: Reauthentication,
    client: ClientInfo,
  ): Promise<void> {
    await this.recordingGuesses(principal, client, async () => {
      await this.requirePassword(principal, password);
      // Last, so that no code is used up for a wrong password.
      await this.secondFactor.require(principal.userId, code);
    });
  }

  /** @throws DomainError `mfa_code_invalid`, `rate_limited` */
  async requireCode(principal: Principal, code: string, client: ClientInfo): Promise<void> {
    await this.recordingGuesses(principal, client, () =>
      this.secondFactor.require(principal.userId, code),
    );
  }

  private async recordingGuesses(
    { userId, sessionId }: Principal,
    client: ClientInfo,
    work: () => Promise<void>,
  ): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof DomainError && guesses.includes(error.code)) {
        const event = { action: 'reauthentication_refused', userId, sessionId } as const;
        await this.audit.record({ ...event, reason: error.code }, client);
      }
      throw error;
    }
  }

  private async requirePassword(principal: Principal, password: string | undefined): Promise<void> {
    if (password === undefined) {
      if (await this.sessions.isRecent(principal)) return;
      throw new DomainError('reauthentication_required');
    }
    const passwordHash = await this.users.findPasswordHash(principal.userId);
    // By session, so that a stolen device uses up nobody's attempts but its own.
    const attempted = { account: principal.userId, knownPlace: principal.sessionId };
    await this.attempts.take(attempted);
    if (!(await this.hasher.verify(passwordHash, password))) {
      throw new DomainError('reauthentication_failed');
    }
    await this.attempts.forget(attempted);
  }
}
