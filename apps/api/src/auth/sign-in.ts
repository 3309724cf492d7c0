import type { Device, OAuthProviderName } from '@rind/contracts';

/** Somebody who has shown whose account it is. */
export interface SignIn {
  readonly userId: string;
  readonly method: 'password' | `oauth:${OAuthProviderName}`;
  readonly device: Device | undefined;
  /** For a password: the hash that it was compared with. */
  readonly passwordHash?: string | null;
}
