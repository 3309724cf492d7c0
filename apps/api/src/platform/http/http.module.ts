import { Global, Module } from '@nestjs/common';
import { DrainLog } from './drain-log.js';
import { ProxyWatch } from './proxy-watch.js';
import { RateLimits } from './rate-limits/rate-limits.js';
import { RateLimitsPurge } from './rate-limits/rate-limits-purge.js';
import { RequestLog } from './request-log.js';
import { RequestMetrics } from './request-metrics.js';
import { SlowBodies } from './slow-bodies.js';
import { UnreadableRequests } from './unreadable-requests.js';

@Global()
@Module({
  providers: [
    DrainLog,
    ProxyWatch,
    RateLimits,
    RateLimitsPurge,
    RequestLog,
    RequestMetrics,
    SlowBodies,
    UnreadableRequests,
  ],
  exports: [ProxyWatch, RateLimits, RequestLog, RequestMetrics, SlowBodies, UnreadableRequests],
})
export class HttpModule {}
