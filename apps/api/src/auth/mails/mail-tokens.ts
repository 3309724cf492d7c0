import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { parse as uuidBytes, stringify as uuidText } from 'uuid';
import { type SigningKey, SigningKeys } from '../signing-keys.js';

const ID_BYTES = 16;
const MAC_BYTES = 32;

/**
 * Tokens in mails are derived, not stored: base64url of the row's id and HMAC-SHA256(k, id), k by
 * HKDF (RFC 5869) from a JWT secret. So a copy of the database holds none of them.
 */
@Injectable()
export class MailTokens {
  constructor(private readonly keys: SigningKeys) {}

  mint(id: string): string {
    const head = Buffer.from(uuidBytes(id));
    return Buffer.concat([head, macOf(this.keys.current, head)]).toString('base64url');
  }

  /** The row's id, where the token was minted here under the current secret or one before it; else null. */
  verify(token: string): string | null {
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length !== ID_BYTES + MAC_BYTES) return null;
    // The decoder skips what is not base64url; a token has exactly one spelling.
    if (bytes.toString('base64url') !== token) return null;
    const [head, mac] = [bytes.subarray(0, ID_BYTES), bytes.subarray(ID_BYTES)];
    const isGenuine = [...this.keys.all].some((key) => timingSafeEqual(mac, macOf(key, head)));
    // What is genuine is a UUID, which the parser would else refuse by throwing.
    return isGenuine ? uuidText(head) : null;
  }
}

function macOf({ key }: SigningKey, head: Buffer): Buffer {
  const derived = hkdfSync('sha256', key, '', 'rind mail token', MAC_BYTES);
  return createHmac('sha256', Buffer.from(derived)).update(head).digest();
}
