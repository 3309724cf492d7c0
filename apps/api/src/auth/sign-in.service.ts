import { Injectable } from '@nestjs/common';
import type {
  AuthResult,
  LoginBody,
  LoginResult,
  MfaVerifyBody,
  RegisterBody,
  VerificationRequired,
} from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { NotificationsService } from '../notifications/notifications.service.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { NewPasswords } from '../platform/passwords/new-passwords.js';
import { UsersService } from '../users/users.service.js';
import { AbuseProtection } from './abuse-protection.js';
import { AccessTokens } from './access-tokens.js';
import { CredentialsService } from './credentials.service.js';
import { AuthMails } from './mails/auth-mails.service.js';
import { PendingSignInsService } from './mfa/pending-sign-ins.service.js';
import { toSignedInSession } from './sessions.mapper.js';
import { type OpenSession, PasswordChangedError, SessionsService } from './sessions.service.js';
import type { SignIn } from './sign-in.js';

/** A password changes under a sign-in once, if ever; then the next comparison decides. */
const MAX_SIGN_IN_ATTEMPTS = 3;

/** Registration, sign-in by password and second factor, and what keeps a sign-in alive. */
@Injectable()
export class SignInService {
  constructor(
    @InjectConfig() private readonly config: Config,
    private readonly abuse: AbuseProtection,
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokens,
    private readonly credentials: CredentialsService,
    private readonly newPasswords: NewPasswords,
    private readonly mails: AuthMails,
    private readonly notifications: NotificationsService,
    private readonly pendingSignIns: PendingSignInsService,
  ) {}

  /**
   * Where addresses have to be verified first, nobody learns here whether one is registered: its
   * owner gets a mail that says so.
   *
   * @throws DomainError `registration_disabled`, `captcha_failed`, `rate_limited`; `email_already_used`
   *   only where addresses need not be verified
   */
  async register(
    body: RegisterBody,
    client: ClientInfo,
  ): Promise<AuthResult | VerificationRequired> {
    const { registrationEnabled, emailVerificationRequired } = this.config.auth;
    if (!registrationEnabled) throw new DomainError('registration_disabled');
    await this.abuse.admit(body, client);
    const passwordHash = await this.newPasswords.hash(body);
    try {
      return await this.database.transaction(async () => {
        const userId = await this.createAccount(body, passwordHash, client);
        if (emailVerificationRequired) return { verificationRequired: true as const };
        return this.openSession({ userId, method: 'password', device: body.device }, client);
      });
    } catch (error) {
      const isTaken = error instanceof DomainError && error.code === 'email_already_used';
      if (!isTaken || !emailVerificationRequired) throw error;
      await this.tellOwner(body.email, client);
      return { verificationRequired: true };
    }
  }

  /**
   * @throws DomainError as `CredentialsService.check`; `account_deactivated` and `email_not_verified`, only
   *   for the right password
   */
  async login(body: LoginBody, client: ClientInfo): Promise<LoginResult> {
    for (let attempt = 0; attempt < MAX_SIGN_IN_ATTEMPTS; attempt += 1) {
      const admitted = await this.attemptLogin(body, client);
      if (admitted) return admitted;
    }
    throw new DomainError('service_unavailable', { retryAfterSeconds: 1 });
  }

  /**
   * What every way to sign in ends in, once it has shown whose account it is: signed in, or asked for
   * the second factor. Joins a current transaction.
   *
   * @throws DomainError `account_deactivated`, `email_not_verified`
   * @throws PasswordChangedError
   */
  async admit(signIn: SignIn, client: ClientInfo): Promise<LoginResult> {
    return this.recordingRefusals(signIn.userId, client, () =>
      this.database.transaction(
        async () =>
          (await this.pendingSignIns.begin(signIn)) ?? (await this.openSession(signIn, client)),
      ),
    );
  }

  /**
   * Finishes a sign-in that waits for its second factor.
   *
   * @throws DomainError `mfa_token_invalid`, `mfa_code_invalid`, `account_deactivated`,
   *   `email_not_verified`, `rate_limited`
   */
  async verifyMfa(body: MfaVerifyBody, client: ClientInfo): Promise<AuthResult> {
    const userId = await this.pendingSignIns.getUserId(body.mfaToken);
    return this.recordingRefusals(userId, client, () =>
      this.pendingSignIns.complete({ userId, ...body }, ({ signIn, factor }) =>
        this.openSession(signIn, client, factor),
      ),
    );
  }

  /** @throws DomainError as `SessionsService.refresh` */
  async refresh(refreshToken: string, client: ClientInfo): Promise<AuthResult> {
    return this.toResult(await this.sessions.refresh(refreshToken, client));
  }

  private async openSession(
    { userId, method, ...signIn }: SignIn,
    client: ClientInfo,
    factor?: string,
  ): Promise<AuthResult> {
    const opened = await this.sessions.open({ userId, ...signIn }, client);
    const sessionId = opened.session.id;
    const event = { action: 'signed_in', userId, sessionId, reason: method } as const;
    await this.audit.record({ ...event, ...(factor && { detail: { factor } }) }, client);
    return this.toResult(opened);
  }

  private async recordingRefusals<T>(
    userId: string,
    client: ClientInfo,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DomainError) {
        await this.audit.record({ action: 'sign_in_refused', userId, reason: error.code }, client);
      }
      throw error;
    }
  }

  private async createAccount(
    { email, displayName, language = 'en' }: RegisterBody,
    passwordHash: string,
    client: ClientInfo,
  ): Promise<string> {
    const userId = await this.users.create({ email, displayName, language, passwordHash });
    await this.audit.record({ action: 'registered', userId }, client);
    await this.mails.sendLink('verify_email', userId, email);
    await this.notifications.notify(userId, { type: 'welcome', data: {} });
    return userId;
  }

  private async tellOwner(email: string, client: ClientInfo): Promise<void> {
    const owner = await this.users.findCredentials(email);
    if (!owner) return;
    const { userId } = owner;
    await this.database.transaction(async () => {
      await this.audit.record({ action: 'registration_repeated', userId }, client);
      await this.mails.tellOwner(userId);
    });
  }

  /** Null when the password was changed after it was compared. */
  private async attemptLogin(body: LoginBody, client: ClientInfo): Promise<LoginResult | null> {
    const account = await this.credentials.check(body, client);
    const signIn = { ...account, method: 'password', device: body.device } as const;
    try {
      const admitted = await this.admit(signIn, client);
      await this.credentials.renewHash(account, body.password);
      return admitted;
    } catch (error) {
      if (error instanceof PasswordChangedError) return null;
      throw error;
    }
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
