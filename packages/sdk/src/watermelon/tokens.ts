import type { AuthResult } from '../generated/types.gen.js';
import { SyncError } from './sync-error.js';

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** Where the app keeps its tokens, such as the keychain. The one place of truth: nothing is cached. */
export interface TokenStorage {
  /** Called before every request. Null when nobody is signed in. */
  load(): Promise<Tokens | null>;
  /** Resolves when the tokens would survive a crash: only then is the new access token used. */
  save(tokens: Tokens): Promise<void>;
}

/** Loads tokens and exchanges expired ones, once however many ask. */
export class TokenKeeper {
  #refreshing: Promise<Tokens> | null = null;

  constructor(
    private readonly storage: TokenStorage,
    /** Calls `POST /auth/refresh`. */
    private readonly exchange: (refreshToken: string) => Promise<AuthResult>,
  ) {}

  async load(): Promise<Tokens> {
    const tokens = await this.storage.load();
    if (tokens) return tokens;
    throw new SyncError('signed_out', 'There are no tokens: sign in first');
  }

  /** Tokens newer than `used`, which are durable when this resolves. */
  refresh(used: Tokens): Promise<Tokens> {
    this.#refreshing ??= this.#refresh(used).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(used: Tokens): Promise<Tokens> {
    const before = await this.load();
    if (before.accessToken !== used.accessToken) return before;
    const [exchanged] = await Promise.allSettled([this.exchange(before.refreshToken)]);
    // A sign-in during the exchange must neither be overwritten nor be blamed for the old tokens' end.
    const now = await this.load();
    if (now.refreshToken !== before.refreshToken) return now;
    if (exchanged.status === 'rejected') throw exchanged.reason;
    const renewed = tokensOf(exchanged.value);
    await this.storage.save(renewed);
    return renewed;
  }
}

function tokensOf({ accessToken, refreshToken }: AuthResult): Tokens {
  if (accessToken !== undefined && refreshToken !== undefined) return { accessToken, refreshToken };
  throw new SyncError('unexpected_answer', 'The answer to the refresh carries no tokens');
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The user's id in an access token, or null. Not verified: it only tells whose token it is. */
export function userOfToken(accessToken: string): string | null {
  const { sub } = claimsOf(accessToken);
  return typeof sub === 'string' ? sub : null;
}

/**
 * What an access token says, unverified; nothing where it cannot be read. Decoded by hand, since not
 * every version of React Native has `atob`.
 */
export function claimsOf(accessToken: string): Readonly<Record<string, unknown>> {
  let bits = '';
  for (const character of accessToken.split('.')[1] ?? '') {
    const value = alphabet.indexOf(character);
    if (value < 0) return {};
    bits += value.toString(2).padStart(6, '0');
  }
  const bytes = bits.match(/.{8}/g) ?? [];
  try {
    // The claims that Rind issues are ASCII, one byte a character.
    const text = String.fromCharCode(...bytes.map((byte) => Number.parseInt(byte, 2)));
    const claims: unknown = JSON.parse(text);
    return typeof claims === 'object' && claims !== null ? { ...claims } : {};
  } catch {
    return {};
  }
}
