import { Injectable } from '@nestjs/common';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { RateLimits } from '../platform/http/rate-limits/rate-limits.js';
import { Captcha } from './captcha.js';
import { LimitKeys } from './limit-keys.js';

interface AnonymousRequest {
  readonly email: string;
  readonly captchaToken?: string | undefined;
}

/** What strangers have to pass before a mail goes to an address that they named. */
@Injectable()
export class AbuseProtection {
  constructor(
    private readonly captcha: Captcha,
    private readonly limitKeys: LimitKeys,
    private readonly rateLimits: RateLimits,
  ) {}

  /** Knows nothing of accounts, so it tells nothing of them. @throws DomainError `captcha_failed`, `rate_limited` */
  async admit({ email, captchaToken }: AnonymousRequest, client: ClientInfo): Promise<void> {
    if (!(await this.captcha.isSolved(captchaToken, client))) {
      throw new DomainError('captcha_failed');
    }
    await this.admitMailTo(email);
  }

  /** @throws DomainError `rate_limited` */
  async admitMailTo(email: string): Promise<void> {
    await this.rateLimits.require('mail', this.limitKeys.of(email));
  }
}
