import { createHmac, hkdfSync } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';

const KEY_BYTES = 32;

/**
 * What tries by address are counted under, also those of people without an account. Keyed, so that the
 * table of limits tells nobody who tries an address against it.
 */
@Injectable()
export class LimitKeys {
  private readonly key: Uint8Array;

  constructor(@InjectConfig() { auth }: Config) {
    this.key = new Uint8Array(hkdfSync('sha256', auth.jwtSecret, '', 'rind limit keys', KEY_BYTES));
  }

  of(...parts: readonly string[]): string {
    return createHmac('sha256', this.key).update(parts.join('\n')).digest('base64url');
  }
}
