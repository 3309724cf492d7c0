import { Secret } from 'otpauth';
import { digest } from '../one-time-secrets.js';

const RECOVERY_CODES = 10;

/** 80 bits, too many to try: so an ordinary hash keeps them, and looking one up costs nothing. */
const RECOVERY_CODE_BYTES = 10;

/** What somebody typed as second factor. */
export type MfaCode =
  | { readonly method: 'totp'; readonly digits: string }
  | { readonly method: 'recovery_code'; readonly hash: Uint8Array<ArrayBuffer> };

export type MfaMethod = MfaCode['method'];

export interface NewRecoveryCodes {
  /** For the user's eyes. */
  readonly codes: readonly string[];
  /** For the table. */
  readonly hashes: ReadonlyArray<Uint8Array<ArrayBuffer>>;
}

/** In base32, which has no 0, 1 and 8 to be taken for letters, in groups of four. */
export function newRecoveryCodes(): NewRecoveryCodes {
  const plain = Array.from(
    { length: RECOVERY_CODES },
    () => new Secret({ size: RECOVERY_CODE_BYTES }).base32,
  );
  return {
    codes: plain.map((code) => code.toLowerCase().replaceAll(/.{4}(?=.)/g, '$&-')),
    hashes: plain.map(digest),
  };
}

/** Null for what can be neither. Spaces, dashes and letter case do not count. */
export function parseMfaCode(typed: string): MfaCode | null {
  const code = typed.replaceAll(/[\s\p{Pd}]/gu, '').toUpperCase();
  if (/^\d{6}$/.test(code)) return { method: 'totp', digits: code };
  if (/^[A-Z2-7]{16}$/.test(code)) return { method: 'recovery_code', hash: digest(code) };
  return null;
}
