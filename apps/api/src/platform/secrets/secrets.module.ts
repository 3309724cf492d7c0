import { Global, Module } from '@nestjs/common';
import { SecretAgesRepository } from './secret-ages.repository.js';
import { SecretAges } from './secret-ages.js';

@Global()
@Module({ providers: [SecretAges, SecretAgesRepository], exports: [SecretAges] })
export class SecretsModule {}
