import { Global, Module } from '@nestjs/common';
import { ProxyWatch } from './proxy-watch.js';
import { RateLimits } from './rate-limits/rate-limits.js';
import { RateLimitsPurge } from './rate-limits/rate-limits-purge.js';
import { RequestLog } from './request-log.js';

@Global()
@Module({
  providers: [ProxyWatch, RateLimits, RateLimitsPurge, RequestLog],
  exports: [ProxyWatch, RateLimits, RequestLog],
})
export class HttpModule {}
