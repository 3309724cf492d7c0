import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { parse as uuidBytes, stringify as uuidText } from 'uuid';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';

const ID_BYTES = 16;
const MAC_BYTES = 32;

/** What a link in a mail switches off. */
export interface Subscription {
  readonly userId: string;
  readonly type: string;
}

/**
 * Tokens that do one harmless thing, as often as they are used, as long as the JWT secret that they
 * were made under is known: base64url of user, type and HMAC-SHA256(k, both), k by HKDF (RFC 5869).
 */
@Injectable()
export class UnsubscribeTokens {
  /** The current one first. */
  private readonly keys: readonly Buffer[];

  constructor(@InjectConfig() { auth }: Config) {
    this.keys = [auth.jwtSecret, ...auth.previousJwtSecrets].map((secret) =>
      Buffer.from(hkdfSync('sha256', secret, '', 'rind unsubscribe token', MAC_BYTES)),
    );
  }

  mint({ userId, type }: Subscription): string {
    const head = Buffer.concat([Buffer.from(uuidBytes(userId)), Buffer.from(type)]);
    return Buffer.concat([head, macOf(this.keys[0]!, head)]).toString('base64url');
  }

  /** Null for what was not minted here. */
  verify(token: string): Subscription | null {
    const bytes = Buffer.from(token, 'base64url');
    // The decoder skips what is not base64url; a token has exactly one spelling.
    if (bytes.length <= ID_BYTES + MAC_BYTES || bytes.toString('base64url') !== token) return null;
    const [head, mac] = [bytes.subarray(0, -MAC_BYTES), bytes.subarray(-MAC_BYTES)];
    if (!this.keys.some((key) => timingSafeEqual(mac, macOf(key, head)))) return null;
    return {
      userId: uuidText(head.subarray(0, ID_BYTES)),
      type: head.subarray(ID_BYTES).toString(),
    };
  }
}

function macOf(key: Buffer, head: Buffer): Buffer {
  return createHmac('sha256', key).update(head).digest();
}
