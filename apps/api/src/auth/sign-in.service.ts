import { Injectable } from '@nestjs/common';
import type {
  AuthResult,
  Device,
  LoginBody,
  OAuthProviderName,
  RegisterBody,
} from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { NewPasswords } from '../platform/passwords/new-passwords.js';
import { UsersService } from '../users/users.service.js';
import { AccessTokens } from './access-tokens.js';
import { CredentialsService } from './credentials.service.js';
import { toSignedInSession } from './sessions.mapper.js';
import { type OpenSession, SessionsService } from './sessions.service.js';

/** Somebody who has shown whose account it is. */
export interface SignIn {
  readonly userId: string;
  readonly method: 'password' | `oauth:${OAuthProviderName}`;
  readonly device: Device | undefined;
}

/** Registration, sign-in by password, and what keeps a sign-in alive. */
@Injectable()
export class SignInService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokens,
    private readonly credentials: CredentialsService,
    private readonly newPasswords: NewPasswords,
  ) {}

  /** @throws DomainError `email_already_used`; `validation_failed` for a password that is easily guessed */
  async register(body: RegisterBody, client: ClientInfo): Promise<AuthResult> {
    const passwordHash = await this.newPasswords.hash(body);
    return this.database.transaction(async () => {
      const userId = await this.users.create({
        email: body.email,
        displayName: body.displayName,
        language: body.language ?? 'en',
        passwordHash,
      });
      await this.audit.record({ action: 'registered', userId }, client);
      return this.admit({ userId, method: 'password', device: body.device }, client);
    });
  }

  /**
   * @throws DomainError as `CredentialsService.check`; `account_deactivated`, only for the right
   *   password
   */
  async login(body: LoginBody, client: ClientInfo): Promise<AuthResult> {
    const account = await this.credentials.check(body, client);
    const { userId } = account;
    const admitted = await this.admit({ userId, method: 'password', device: body.device }, client);
    await this.credentials.renewHash(account, body.password);
    return admitted;
  }

  /**
   * What every way to sign in ends in, once it has shown whose account it is. Joins a current transaction.
   *
   * @throws DomainError `account_deactivated`
   */
  async admit({ userId, method, device }: SignIn, client: ClientInfo): Promise<AuthResult> {
    try {
      return await this.database.transaction(async () => {
        const opened = await this.sessions.open(userId, device, client);
        const sessionId = opened.session.id;
        await this.audit.record({ action: 'signed_in', userId, sessionId, reason: method }, client);
        return this.toResult(opened);
      });
    } catch (error) {
      if (error instanceof DomainError) {
        await this.audit.record({ action: 'sign_in_refused', userId, reason: error.code }, client);
      }
      throw error;
    }
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
