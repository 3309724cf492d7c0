import { createHash, randomBytes } from 'node:crypto';

const SECRET_BYTES = 32;

/** Random text for a cookie, a code or a token that is used once. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** What may be stored of a secret, to find it again: only for those that are too many to try. */
export function digest(secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(secret).digest());
}
