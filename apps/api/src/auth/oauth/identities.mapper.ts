import type { Identity, OAuthProviderName } from '@rind/contracts';
import type { OAuthIdentity } from '../../platform/database/generated/client.js';

export function toIdentity({ id, provider, email, createdAt }: OAuthIdentity): Identity {
  return {
    id,
    provider: provider as OAuthProviderName,
    email,
    createdAt: createdAt.toISOString(),
  };
}
