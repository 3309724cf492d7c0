import type { Logger } from '@nestjs/common';
import type { OAuthProviderName } from '@rind/contracts';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { FlowSecrets } from './flow-secrets.js';

/** What a provider says of one of its users. */
export interface OAuthProfile {
  /** The provider's own id of the account: the one thing that never changes. */
  readonly subject: string;
  /** In lower case. */
  readonly email: string | null;
  /** Whether the provider says that the address is its user's. */
  readonly isEmailVerified: boolean;
  readonly name: string | null;
}

/** What a native app got from the provider's own library. */
export interface NativeToken {
  readonly idToken?: string | undefined;
  /** Whose SHA-256 the id token carries. */
  readonly nonce?: string | undefined;
  /** Of Facebook, which has no id tokens here. */
  readonly accessToken?: string | undefined;
}

/** One way to sign in by an account elsewhere. */
export interface OAuthProvider {
  readonly name: OAuthProviderName;

  /** Where to send the browser. @throws DomainError `oauth_failed` */
  authorizationUrl(secrets: FlowSecrets): Promise<URL>;

  /**
   * Who came back. `callback` is the address with everything the provider added to it.
   *
   * @throws DomainError `oauth_denied`, `oauth_failed`
   */
  redeem(callback: URL, secrets: FlowSecrets): Promise<OAuthProfile>;

  /** @throws DomainError `oauth_token_invalid`, `oauth_failed` */
  verify(token: NativeToken): Promise<OAuthProfile>;
}

/** The cause is for the log only: what a provider answers may hold secrets. */
export function providerFailure(cause: unknown): DomainError {
  return new DomainError('oauth_failed', { cause });
}

/** For the operator, who alone can do something about it; refusals of the user are no failures. */
export function logFailure(logger: Logger, provider: string, error: unknown): void {
  if (!(error instanceof DomainError) || error.code !== 'oauth_failed') return;
  logger.warn({ provider, reason: reasonOf(error.cause) }, 'A provider failed');
}

/** Messages only: what hangs on these errors are whole answers, with codes and tokens. */
function reasonOf(cause: unknown): string[] {
  if (!(cause instanceof Error)) return [];
  const code = 'code' in cause ? [String(cause.code)] : [];
  return [cause.message, ...code, ...reasonOf(cause.cause)];
}
