import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { uuidOf } from '../platform/uuid.js';
import { type SigningKey, SigningKeys } from './signing-keys.js';

const ID_BYTES = 16;
const COUNTER_BYTES = 4;
const MAC_BYTES = 32;
/** What the session's column holds, an `integer`; at the rate limit it is reached after 400 years. */
const MAX_COUNTER = 2 ** 31 - 1;

/** What a refresh token says; not to be believed before its MAC is checked. */
export interface ParsedRefreshToken {
  readonly sessionId: string;
  readonly counter: number;
  readonly mac: Buffer;
}

/**
 * Refresh tokens are derived, not stored: base64url of session id, counter and
 * HMAC-SHA256(k, session id ‖ counter), k by HKDF (RFC 5869) from a JWT secret and the random salt
 * in the session's row. So a copy of the database holds none of them.
 */
@Injectable()
export class RefreshTokens {
  constructor(private readonly keys: SigningKeys) {}

  /** The fingerprint of the key that new tokens are minted under. */
  get currentKeyId(): string {
    return this.keys.current.id;
  }

  /** The token of a session and counter. Under a key that is no longer configured, the current one serves. */
  mint(session: { id: string; salt: Uint8Array; counter: number; keyId: string }): string {
    const key = this.keys.find(session.keyId) ?? this.keys.current;
    const head = headOf(session.id, session.counter);
    return Buffer.concat([head, macOf(key, session.salt, head)]).toString('base64url');
  }

  /** Null for anything that cannot be a refresh token. */
  parse(token: string): ParsedRefreshToken | null {
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length !== ID_BYTES + COUNTER_BYTES + MAC_BYTES) return null;
    // The decoder skips what is not base64url; a token has exactly one spelling.
    if (bytes.toString('base64url') !== token) return null;
    const counter = bytes.readUInt32BE(ID_BYTES);
    // Every token that is issued leaves room for its successor.
    if (counter >= MAX_COUNTER) return null;
    return {
      sessionId: uuidOf(bytes.subarray(0, ID_BYTES)),
      counter,
      mac: bytes.subarray(ID_BYTES + COUNTER_BYTES),
    };
  }

  /** Whether the token was minted here, under the current secret or one before it. */
  isGenuine({ sessionId, counter, mac }: ParsedRefreshToken, salt: Uint8Array): boolean {
    const head = headOf(sessionId, counter);
    return [...this.keys.all].some((key) => timingSafeEqual(mac, macOf(key, salt, head)));
  }
}

function headOf(sessionId: string, counter: number): Buffer {
  const head = Buffer.alloc(ID_BYTES + COUNTER_BYTES);
  head.write(sessionId.replaceAll('-', ''), 'hex');
  head.writeUInt32BE(counter, ID_BYTES);
  return head;
}

function macOf({ key }: SigningKey, salt: Uint8Array, head: Buffer): Buffer {
  const derived = hkdfSync('sha256', key, salt, 'rind refresh token', MAC_BYTES);
  return createHmac('sha256', Buffer.from(derived)).update(head).digest();
}
