import { Injectable } from '@nestjs/common';
import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { exactLimiter } from '../platform/http/rate-limits/exact-limiter.js';
import { LimitKeys } from './limit-keys.js';

/** Wrong passwords within a day before the first pause; the last of them begins it. */
const FREE_ATTEMPTS = 10;
const DAY_SECONDS = 86_400;
const FIRST_PAUSE_SECONDS = 60;
const LONGEST_PAUSE_SECONDS = 900;

/** Whose password is tried, and from which place that the account knows, if from one. */
export interface Attempted {
  /** An address, or what else names the account. */
  readonly account: string;
  readonly knownPlace?: string | undefined;
}

/**
 * Limits how often a password can be guessed: 10 times, and from then on once after each pause of
 * 1, 2, 4, 8, then always 15 minutes. A right password, or a day, ends it. Counted over all
 * instances.
 *
 * Whoever knows an address can use up its attempts. Its owner is not locked out by that: places
 * that the account knows have attempts of their own, and devices that are signed in need none.
 */
@Injectable()
export class PasswordAttempts {
  private readonly free: RateLimiterAbstract;
  /** Lets one attempt through, and no other until its time is over. */
  private readonly pause: RateLimiterAbstract;
  private readonly pauses: RateLimiterAbstract;

  constructor(
    private readonly limitKeys: LimitKeys,
    database: Database,
  ) {
    this.free = exactLimiter(database, {
      name: 'password',
      points: FREE_ATTEMPTS - 1,
      durationSeconds: DAY_SECONDS,
    });
    this.pause = exactLimiter(database, {
      name: 'password_pause',
      points: 1,
      durationSeconds: FIRST_PAUSE_SECONDS,
    });
    this.pauses = exactLimiter(database, {
      name: 'password_pauses',
      points: 1,
      durationSeconds: DAY_SECONDS,
    });
  }

  /**
   * Takes an attempt before the password is compared, so that many at once are no way around.
   *
   * @throws DomainError `rate_limited`
   */
  async take(attempted: Attempted): Promise<void> {
    const key = this.keyOf(attempted);
    if ((await consume(this.free, key)) === 0) return;
    const leftMs = await consume(this.pause, key);
    if (leftMs > 0) {
      throw new DomainError('rate_limited', { retryAfterSeconds: Math.ceil(leftMs / 1000) });
    }
    const { consumedPoints: count } = await this.pauses.penalty(key);
    if (count === 1) return;
    const seconds = Math.min(FIRST_PAUSE_SECONDS * 2 ** (count - 1), LONGEST_PAUSE_SECONDS);
    await this.pause.set(key, 1, seconds);
  }

  /** After a right password. */
  async forget(attempted: Attempted): Promise<void> {
    const key = this.keyOf(attempted);
    await Promise.all([this.free, this.pause, this.pauses].map((limiter) => limiter.delete(key)));
  }

  private keyOf({ account, knownPlace = '' }: Attempted): string {
    return this.limitKeys.of(account, knownPlace);
  }
}

/** 0 when there was something left, else the time in ms until there is. */
async function consume(limiter: RateLimiterAbstract, key: string): Promise<number> {
  try {
    await limiter.consume(key);
    return 0;
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext);
    throw refusal;
  }
}
