import { Global, Module } from '@nestjs/common';
import { Database } from './database.js';
import { Notices, NoticesTiming } from './notices.js';

@Global()
@Module({ providers: [Database, Notices, NoticesTiming], exports: [Database, Notices] })
export class DatabaseModule {}
