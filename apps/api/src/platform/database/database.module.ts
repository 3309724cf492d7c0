import { Global, Module } from '@nestjs/common';
import { DatabaseProbe } from './database-probe.js';
import { Database } from './database.js';
import { DatabaseMetrics } from './database-metrics.js';
import { Notices, NoticesTiming } from './notices.js';
import { SlowQueries } from './slow-queries.js';

@Global()
@Module({
  providers: [Database, DatabaseMetrics, DatabaseProbe, Notices, NoticesTiming, SlowQueries],
  exports: [Database, DatabaseMetrics, DatabaseProbe, Notices],
})
export class DatabaseModule {}
