import { Global, Module } from '@nestjs/common';
import { DatabaseProbe } from './database-probe.js';
import { Database } from './database.js';
import { Notices, NoticesTiming } from './notices.js';

@Global()
@Module({
  providers: [Database, DatabaseProbe, Notices, NoticesTiming],
  exports: [Database, DatabaseProbe, Notices],
})
export class DatabaseModule {}
