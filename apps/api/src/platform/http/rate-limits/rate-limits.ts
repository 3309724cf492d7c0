import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Config } from '../../config/config.js';
import { InjectConfig } from '../../config/config.module.js';
import { Database } from '../../database/database.js';
import { DomainError } from '../../errors/domain.error.js';
import { Metrics } from '../../metrics/metrics.js';
import { exactLimiter } from './exact-limiter.js';

const WINDOW_SECONDS = 60;
const REFRESHES_PER_MINUTE = 10;
/** By address, so that nobody's mailbox is flooded. */
const MAILS_PER_HOUR = 5;
const HOUR_SECONDS = 3600;

/** Of a million codes three are right at a time: a year of guessing finds one with a chance of one in four. */
const WRONG_CODES_PER_HOUR = 10;

export type Budget =
  | 'anonymous'
  | 'user'
  | 'sync'
  | 'auth'
  | 'refresh'
  | 'mail'
  | 'mfa'
  | 'handshake';

/** What is left of a budget for one key. */
export interface RateLimitState {
  readonly budget: Budget;
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
  readonly isExceeded: boolean;
}

/**
 * Requests per minute; mails, and wrong codes of the second factor, per hour. `auth`, `mail` and `mfa`
 * are exact and shared by all instances, in PostgreSQL; the others live in the memory of each process.
 */
@Injectable()
export class RateLimits {
  private readonly limiters: Readonly<Record<Budget, RateLimiterAbstract | null>>;
  private readonly refusals: Counter<'budget'>;

  constructor(@InjectConfig() config: Config, database: Database, metrics: Metrics) {
    const { anonymousPerMinute, userPerMinute, syncPerMinute, authPerMinute, handshakesPerMinute } =
      config.rateLimits;
    this.limiters = {
      anonymous: inMemory('anonymous', anonymousPerMinute),
      user: inMemory('user', userPerMinute),
      sync: inMemory('sync', syncPerMinute),
      handshake: inMemory('handshake', handshakesPerMinute),
      refresh: inMemory('refresh', REFRESHES_PER_MINUTE),
      auth:
        authPerMinute === 0
          ? null
          : exactLimiter(database, {
              name: 'auth',
              points: authPerMinute,
              durationSeconds: WINDOW_SECONDS,
            }),
      mail: exactLimiter(database, {
        name: 'mail',
        points: MAILS_PER_HOUR,
        durationSeconds: HOUR_SECONDS,
      }),
      mfa: exactLimiter(database, {
        name: 'mfa',
        points: WRONG_CODES_PER_HOUR,
        durationSeconds: HOUR_SECONDS,
      }),
    };
    this.refusals = metrics.counter({
      name: 'rind_rate_limit_refusals_total',
      help: 'Requests, mails and codes beyond a budget',
      labelNames: ['budget'],
      labelValues: Object.keys(this.limiters),
    });
  }

  /** Takes one request from a budget; null when the budget has no limit. */
  async consume(budget: Budget, key: string): Promise<RateLimitState | null> {
    const limiter = this.limiters[budget];
    if (!limiter) return null;
    try {
      return stateOf(budget, limiter, await limiter.consume(key), false);
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      this.refusals.inc({ budget });
      return stateOf(budget, limiter, refusal, true);
    }
  }

  /** The same, for who needs it granted. @throws DomainError `rate_limited` */
  async require(budget: Budget, key: string): Promise<void> {
    refuseIfExceeded(await this.consume(budget, key));
  }

  /** Returns what `consume` took, where it turned out not to count. */
  async giveBack(budget: Budget, key: string): Promise<void> {
    await this.limiters[budget]?.reward(key);
  }
}

/** @throws DomainError `rate_limited` */
export function refuseIfExceeded(state: RateLimitState | null): void {
  if (!state?.isExceeded) return;
  throw new DomainError('rate_limited', { retryAfterSeconds: state.resetSeconds });
}

function inMemory(budget: Budget, points: number): RateLimiterAbstract | null {
  return points === 0
    ? null
    : new RateLimiterMemory({ keyPrefix: budget, points, duration: WINDOW_SECONDS });
}

function stateOf(
  budget: Budget,
  limiter: RateLimiterAbstract,
  { remainingPoints, msBeforeNext }: RateLimiterRes,
  isExceeded: boolean,
): RateLimitState {
  return {
    budget,
    limit: limiter.points,
    remaining: Math.max(0, remainingPoints),
    resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)),
    isExceeded,
  };
}
