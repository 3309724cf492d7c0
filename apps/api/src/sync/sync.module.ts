import { Module } from '@nestjs/common';
import { SyncClocks } from './sync-clocks.js';
import { SyncController } from './sync.controller.js';
import { SyncRepository } from './sync.repository.js';
import { SyncService } from './sync.service.js';

@Module({
  controllers: [SyncController],
  providers: [SyncClocks, SyncRepository, SyncService],
  exports: [SyncClocks],
})
export class SyncModule {}
