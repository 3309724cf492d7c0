import { Global, Module } from '@nestjs/common';
import { Database } from './database.js';
import { Notices } from './notices.js';

@Global()
@Module({ providers: [Database, Notices], exports: [Database, Notices] })
export class DatabaseModule {}
