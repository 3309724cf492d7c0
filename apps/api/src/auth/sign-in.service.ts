import { Injectable } from '@nestjs/common';
import type { AuthResult, LoginBody, RegisterBody } from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { PasswordHasher } from '../platform/passwords/password-hasher.js';
import { UsersService } from '../users/users.service.js';
import { AccessTokens } from './access-tokens.js';
import { toSignedInSession } from './sessions.mapper.js';
import { type OpenSession, SessionsService } from './sessions.service.js';

/** Registration, sign-in by password, and what keeps a sign-in alive. */
@Injectable()
export class SignInService {
  constructor(
    private readonly database: Database,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokens,
    private readonly hasher: PasswordHasher,
  ) {}

  /** @throws DomainError `email_already_used` */
  async register(body: RegisterBody, client: ClientInfo): Promise<AuthResult> {
    const passwordHash = await this.hasher.hash(body.password);
    const opened = await this.database.transaction(async () => {
      const userId = await this.users.create({
        email: body.email,
        displayName: body.displayName,
        language: body.language ?? 'en',
        passwordHash,
      });
      return this.sessions.open(userId, body.device, client);
    });
    return this.toResult(opened);
  }

  /**
   * An unknown address and a wrong password cost the same time and give the same answer.
   *
   * @throws DomainError `invalid_credentials`; `account_deactivated`, only for the right password
   */
  async login(body: LoginBody, client: ClientInfo): Promise<AuthResult> {
    const account = await this.users.findCredentials(body.email);
    const isMatch = await this.hasher.verify(account?.passwordHash ?? null, body.password);
    if (!account || !isMatch) throw new DomainError('invalid_credentials');
    const opened = await this.sessions.open(account.userId, body.device, client);
    if (account.passwordHash && this.hasher.isOutdated(account.passwordHash)) {
      await this.users.replacePasswordHash(account, await this.hasher.hash(body.password));
    }
    return this.toResult(opened);
  }

  /** @throws DomainError as `SessionsService.refresh` */
  async refresh(refreshToken: string, client: ClientInfo): Promise<AuthResult> {
    return this.toResult(await this.sessions.refresh(refreshToken, client));
  }

  private async toResult({ session, refreshToken }: OpenSession): Promise<AuthResult> {
    const { token, expiresAt } = this.accessTokens.issue({
      userId: session.userId,
      sessionId: session.id,
      refreshCounter: session.refreshCounter,
    });
    return {
      user: await this.users.get(session.userId),
      session: toSignedInSession(session),
      accessToken: token,
      accessTokenExpiresAt: expiresAt.toISOString(),
      refreshToken,
    };
  }
}
