import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A secret as a table may hold it. */
export interface SealedSecret {
  /** Nonce, ciphertext, tag. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Fingerprint of the key that opens it. */
  readonly keyId: string;
}

interface EncryptionKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/**
 * Encrypts what the server must be able to read again, under a key that is not in the database:
 * AES-256-GCM under `ENCRYPTION_KEY`. A secret opens only under the name that it was sealed for, so
 * that a copy of it in another user's row is worth nothing.
 */
@Injectable()
export class SecretBox {
  private readonly current: EncryptionKey;
  private readonly byId: ReadonlyMap<string, EncryptionKey>;

  constructor(@InjectConfig() { encryption }: Config) {
    this.current = toEncryptionKey(encryption.key);
    const previous = encryption.previousKeys.map(toEncryptionKey);
    this.byId = new Map([this.current, ...previous].map((key) => [key.id, key]));
  }

  seal(secret: Uint8Array, name: string): SealedSecret {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.current.key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(name));
    const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
    const bytes = Uint8Array.from(Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]));
    return { bytes, keyId: this.current.id };
  }

  /** @throws Error when the key is not configured any more, or the secret was sealed for another name */
  open({ bytes, keyId }: SealedSecret, name: string): Uint8Array<ArrayBuffer> {
    const key = this.byId.get(keyId);
    if (!key) {
      throw new Error(
        `A secret is encrypted under the key ${keyId}, which is neither ENCRYPTION_KEY nor in ENCRYPTION_KEY_PREVIOUS`,
      );
    }
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, key.key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const ciphertext = bytes.subarray(NONCE_BYTES, -TAG_BYTES);
    return Uint8Array.from(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
  }

  /** Whether it was sealed under a key that is on its way out. */
  isOutdated({ keyId }: Pick<SealedSecret, 'keyId'>): boolean {
    return keyId !== this.current.id;
  }
}

function toEncryptionKey(secret: string): EncryptionKey {
  return {
    id: encryptionKeyId(secret),
    key: new Uint8Array(hkdfSync('sha256', secret, '', 'rind encryption key', KEY_BYTES)),
  };
}

/** Fingerprint of an encryption key, as in `SealedSecret`. */
export function encryptionKeyId(secret: string): string {
  return createHash('sha256')
    .update(`rind encryption key id\0${secret}`)
    .digest('hex')
    .slice(0, 12);
}
