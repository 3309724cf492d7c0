import { createHash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { digest } from '../one-time-secrets.js';

/** Everything that binds one browser's way to a provider and back. */
export interface FlowSecrets {
  /** Names the flow in the database, and gives nothing of it away. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

const DERIVED_BYTES = 32;

/** Derived from the cookie, so that whoever reads the database cannot finish a flow. */
export function flowSecretsOf(cookie: string): FlowSecrets {
  const derive = (use: string) =>
    Buffer.from(hkdfSync('sha256', cookie, '', `rind oauth ${use}`, DERIVED_BYTES));
  return {
    id: digest(cookie),
    state: derive('state').toString('base64url'),
    nonce: derive('nonce').toString('base64url'),
    codeVerifier: derive('code verifier').toString('base64url'),
  };
}

/** Whether the verifier is the one of the challenge (RFC 7636, S256). */
export function answersChallenge(codeVerifier: string, codeChallenge: string): boolean {
  return isSameText(createHash('sha256').update(codeVerifier).digest('base64url'), codeChallenge);
}

/** Takes the same time wherever two texts differ. */
export function isSameText(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}
