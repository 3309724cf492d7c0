import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Visitor } from './identity-provider.js';

/** Somebody whom the provider knows, and nobody else has seen yet. */
export const newVisitor = (claims: Partial<Visitor> = {}): Visitor => ({
  sub: randomUUID(),
  email: `${randomUUID()}@example.com`,
  email_verified: true,
  name: 'Ada Lovelace',
  ...claims,
});

/** PKCE of an app: what it keeps to itself, and what it gives away. */
export interface OAuthApp {
  readonly codeVerifier: string;
  readonly codeChallenge: string;
}

export function newApp(): OAuthApp {
  const codeVerifier = randomBytes(32).toString('base64url');
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
  return { codeVerifier, codeChallenge };
}
