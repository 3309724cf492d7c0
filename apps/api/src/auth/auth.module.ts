import { Module } from '@nestjs/common';
import { PassportModule } from '@nestjs/passport';
import { AuditModule } from '../audit/audit.module.js';
import { NotificationsModule } from '../notifications/notifications.module.js';
import { EncryptionModule } from '../platform/encryption/encryption.module.js';
import { MailModule } from '../platform/mail/mail.module.js';
import { PasswordsModule } from '../platform/passwords/passwords.module.js';
import { SyncModule } from '../sync/sync.module.js';
import { UsersModule } from '../users/users.module.js';
import { AbuseProtection } from './abuse-protection.js';
import { AccessTokens } from './access-tokens.js';
import { AccountDeletionService } from './account/account-deletion.service.js';
import { AccountExportService } from './account/account-export.service.js';
import { AccountController } from './account/account.controller.js';
import { CredentialChangesService } from './account/credential-changes.service.js';
import { CredentialsController } from './account/credentials.controller.js';
import { EmailVerificationService } from './account/email-verification.service.js';
import { PasswordRecoveryService } from './account/password-recovery.service.js';
import { RecoveryController } from './account/recovery.controller.js';
import { AddressProofsService } from './address-proofs.service.js';
import { AuthController } from './auth.controller.js';
import { Captcha, NoCaptcha } from './captcha.js';
import { CrossOriginRequests } from './cookies/cross-origin-requests.js';
import { TokenCookies } from './cookies/token-cookies.js';
import { CredentialsService } from './credentials.service.js';
import { ExpiredRowsService } from './expired-rows.service.js';
import { JwtStrategy } from './jwt.strategy.js';
import { KnownDevices } from './known-devices.js';
import { KnownDevicesRepository } from './known-devices.repository.js';
import { LargeBodies } from './large-bodies.js';
import { AuthMails } from './mails/auth-mails.service.js';
import { MailTokens } from './mails/mail-tokens.js';
import { MailTokensRepository } from './mails/mail-tokens.repository.js';
import { MailTokensService } from './mails/mail-tokens.service.js';
import { EnrolmentService } from './mfa/enrolment.service.js';
import { FactorsRepository } from './mfa/factors.repository.js';
import { MfaController } from './mfa/mfa.controller.js';
import { PendingSignInsRepository } from './mfa/pending-sign-ins.repository.js';
import { PendingSignInsService } from './mfa/pending-sign-ins.service.js';
import { SecondFactorService } from './mfa/second-factor.service.js';
import { TotpSecrets } from './mfa/totp-secrets.js';
import { FlowCookie } from './oauth/flow-cookie.js';
import { IdentitiesController } from './oauth/identities.controller.js';
import { IdentitiesRepository } from './oauth/identities.repository.js';
import { IdentitiesService } from './oauth/identities.service.js';
import { IdentityLinkingService } from './oauth/identity-linking.service.js';
import { OAuthAccountsService } from './oauth/oauth-accounts.service.js';
import { OAuthFlowsRepository } from './oauth/oauth-flows.repository.js';
import { OAuthFlowsService } from './oauth/oauth-flows.service.js';
import { OAuthProviders } from './oauth/oauth-providers.js';
import { OAuthSignInService } from './oauth/oauth-sign-in.service.js';
import { OAuthController } from './oauth/oauth.controller.js';
import { LimitKeys } from './limit-keys.js';
import { PasswordAttempts } from './password-attempts.js';
import { PrincipalCache } from './principal-cache.js';
import { PrincipalsService } from './principals.service.js';
import { ReauthenticationService } from './reauthentication.service.js';
import { RefreshMetrics } from './refresh-metrics.js';
import { RefreshTokens } from './refresh-tokens.js';
import { SecretUses } from './secret-uses.js';
import { SessionEnds } from './session-ends.js';
import { SessionsController } from './sessions.controller.js';
import { SessionsRepository } from './sessions.repository.js';
import { SessionsService } from './sessions.service.js';
import { SignInService } from './sign-in.service.js';
import { SigningKeys } from './signing-keys.js';
import { SocketSessions } from './socket-sessions.js';
import { SocketSignIn } from './socket-sign-in.js';

@Module({
  imports: [
    AuditModule,
    EncryptionModule,
    MailModule,
    NotificationsModule,
    PassportModule,
    PasswordsModule,
    SyncModule,
    UsersModule,
  ],
  controllers: [
    AccountController,
    AuthController,
    CredentialsController,
    IdentitiesController,
    MfaController,
    OAuthController,
    RecoveryController,
    SessionsController,
  ],
  providers: [
    AbuseProtection,
    AccessTokens,
    AccountDeletionService,
    AccountExportService,
    AddressProofsService,
    AuthMails,
    CredentialChangesService,
    CredentialsService,
    CrossOriginRequests,
    EmailVerificationService,
    EnrolmentService,
    ExpiredRowsService,
    FactorsRepository,
    FlowCookie,
    IdentitiesRepository,
    IdentitiesService,
    IdentityLinkingService,
    JwtStrategy,
    KnownDevices,
    KnownDevicesRepository,
    LargeBodies,
    LimitKeys,
    MailTokens,
    MailTokensRepository,
    MailTokensService,
    OAuthAccountsService,
    OAuthFlowsRepository,
    OAuthFlowsService,
    OAuthProviders,
    OAuthSignInService,
    PasswordAttempts,
    PasswordRecoveryService,
    PendingSignInsRepository,
    PendingSignInsService,
    PrincipalCache,
    PrincipalsService,
    ReauthenticationService,
    RefreshMetrics,
    RefreshTokens,
    SecondFactorService,
    SecretUses,
    SessionEnds,
    SessionsRepository,
    SessionsService,
    SigningKeys,
    SignInService,
    SocketSessions,
    SocketSignIn,
    TokenCookies,
    TotpSecrets,
    { provide: Captcha, useClass: NoCaptcha },
  ],
  exports: [JwtStrategy, PrincipalsService, SessionsService, TokenCookies],
})
export class AuthModule {}
