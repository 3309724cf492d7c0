import { Injectable } from '@nestjs/common';
import type { Config } from '../platform/config/config.js';
import { InjectConfig } from '../platform/config/config.module.js';
import { encryptionKeyId } from '../platform/encryption/secret-box.js';
import { SecretAges } from '../platform/secrets/secret-ages.js';
import { FactorsRepository } from './mfa/factors.repository.js';
import { SessionsRepository } from './sessions.repository.js';
import { signingKeyId } from './signing-keys.js';

/** Knows what still needs a secret before the current one. */
@Injectable()
export class SecretUses {
  constructor(
    @InjectConfig() { auth, encryption }: Config,
    ages: SecretAges,
    sessions: SessionsRepository,
    factors: FactorsRepository,
  ) {
    ages.watch({
      name: 'JWT_SECRET',
      current: auth.jwtSecret,
      previous: auth.previousJwtSecrets,
      countUses: (secret) => sessions.countUnderKey(signingKeyId(secret)),
    });
    ages.watch({
      name: 'ENCRYPTION_KEY',
      current: encryption.key,
      previous: encryption.previousKeys,
      countUses: (secret) => factors.countUnderKey(encryptionKeyId(secret)),
    });
  }
}
