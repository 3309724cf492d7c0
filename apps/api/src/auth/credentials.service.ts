import { Injectable } from '@nestjs/common';
import type { LoginBody } from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { PasswordHasher } from '../platform/passwords/password-hasher.js';
import { UsersService } from '../users/users.service.js';
import { PasswordAttempts } from './password-attempts.js';
import { SessionsService } from './sessions.service.js';

/** Addresses with their passwords. */
@Injectable()
export class CredentialsService {
  constructor(
    private readonly audit: AuditService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly hasher: PasswordHasher,
    private readonly attempts: PasswordAttempts,
  ) {}

  /**
   * The account of an address and its password. An unknown address and a wrong password cost the
   * same time, are limited alike and give the same answer.
   *
   * @throws DomainError `invalid_credentials`, `rate_limited`, `service_unavailable`
   */
  async check({ email, password, device }: LoginBody, client: ClientInfo) {
    const account = await this.users.findCredentials(email);
    const userId = account?.userId ?? null;
    try {
      const knownPlace = await this.sessions.findKnownPlace(userId, device, client);
      const attempted = { account: email, knownPlace };
      await this.attempts.take(attempted);
      const isMatch = await this.hasher.verify(account?.passwordHash ?? null, password);
      if (!account || !isMatch) throw new DomainError('invalid_credentials');
      await this.attempts.forget(attempted);
      return account;
    } catch (error) {
      if (error instanceof DomainError) {
        await this.audit.record({ action: 'sign_in_refused', userId, reason: error.code }, client);
      }
      throw error;
    }
  }

  /** Where the hash was made with other parameters than today's. */
  async renewHash(account: { userId: string; passwordHash: string | null }, password: string) {
    if (!account.passwordHash || !this.hasher.isOutdated(account.passwordHash)) return;
    await this.users.replacePasswordHash(account, await this.hasher.hash(password));
  }
}
