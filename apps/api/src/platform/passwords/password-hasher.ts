import { availableParallelism } from 'node:os';
import { Injectable } from '@nestjs/common';
import { argon2id, hash, needsRehash, verify } from 'argon2';
import pLimit from 'p-limit';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { DomainError } from '../errors/domain.error.js';

/** More at once only adds waiting, and takes the cores from every other request. */
const limit = pLimit(availableParallelism());

/** Those before them take a few seconds; who waits longer has given up, or means no good. */
const MAX_WAITING = 256;
const RETRY_AFTER_SECONDS = 5;

/**
 * argon2id hashes in PHC format. At most one at a time per core; further calls wait their turn, as
 * long as the line is not too long: then they are refused with `service_unavailable`.
 */
@Injectable()
export class PasswordHasher {
  private readonly parameters;
  private readonly decoy: Promise<string>;

  constructor(@InjectConfig() { auth }: Config) {
    const { memoryKib, timeCost, parallelism } = auth.passwordHash;
    this.parameters = { type: argon2id, memoryCost: memoryKib, timeCost, parallelism };
    this.decoy = this.hash('no account has this password');
  }

  hash(password: string): Promise<string> {
    return this.inTurn(() => hash(password, this.parameters));
  }

  /**
   * Whether the password fits. Without a hash (unknown address, no password set) it takes as long
   * and answers false, so that the time tells nothing.
   */
  async verify(passwordHash: string | null, password: string): Promise<boolean> {
    const subject = passwordHash ?? (await this.decoy);
    const isMatch = await this.inTurn(() => verify(subject, password));
    return isMatch && passwordHash !== null;
  }

  /** Whether the hash was made with other parameters than today's. */
  isOutdated(passwordHash: string): boolean {
    return needsRehash(passwordHash, this.parameters);
  }

  private async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (limit.pendingCount >= MAX_WAITING) {
      throw new DomainError('service_unavailable', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    return limit(work);
  }
}
