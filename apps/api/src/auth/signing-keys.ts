import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';

/** One JWT secret. */
export interface SigningKey {
  /** Fingerprint of the secret; public, stands in token headers as `kid`. */
  readonly id: string;
  readonly key: KeyObject;
}

/** The secret that signs, and those before it that still verify. */
@Injectable()
export class SigningKeys {
  readonly current: SigningKey;
  private readonly byId: ReadonlyMap<string, SigningKey>;

  constructor(@InjectConfig() config: Config) {
    this.current = toSigningKey(config.auth.jwtSecret);
    const previous = config.auth.previousJwtSecrets.map(toSigningKey);
    this.byId = new Map([this.current, ...previous].map((key) => [key.id, key]));
  }

  get all(): Iterable<SigningKey> {
    return this.byId.values();
  }

  find(id: string | undefined): SigningKey | undefined {
    return id === undefined ? undefined : this.byId.get(id);
  }

  /** The key that an access token says it was signed with, where it is known; else the current one. */
  keyOf(accessToken: string): KeyObject {
    return (this.find(keyIdOf(accessToken)) ?? this.current).key;
  }
}

/** The `kid` of a token that nobody has verified yet. */
function keyIdOf(token: string): string | undefined {
  try {
    return jwt.decode(token, { complete: true })?.header.kid;
  } catch {
    // Decoding throws on a payload that is not JSON; verifying refuses it.
    return undefined;
  }
}

function toSigningKey(secret: string): SigningKey {
  return { id: signingKeyId(secret), key: createSecretKey(secret, 'utf8') };
}

/** Fingerprint of a JWT secret. */
export function signingKeyId(secret: string): string {
  return createHash('sha256').update(`rind key id\0${secret}`).digest('hex').slice(0, 12);
}
