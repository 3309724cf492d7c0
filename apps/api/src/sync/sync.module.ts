import { Module } from '@nestjs/common';
import { SpoolModule } from '../platform/spool/spool.module.js';
import { LargePullLimits, LargePulls } from './large-pulls.js';
import { MissedChanges } from './missed-changes.js';
import { PullService } from './pull.service.js';
import { PushQueue } from './push-queue.js';
import { PushService } from './push.service.js';
import { RestoredBackups } from './restored-backups.js';
import { SyncClocks } from './sync-clocks.js';
import { SyncController } from './sync.controller.js';
import { SyncEvents } from './sync-events.js';
import { SyncMetrics } from './sync-metrics.js';
import { SyncRepository } from './sync.repository.js';
import { SyncService } from './sync.service.js';
import { TombstonesService } from './tombstones.service.js';
import { WakeUps } from './wake-ups.js';

@Module({
  imports: [SpoolModule],
  controllers: [SyncController],
  providers: [
    LargePullLimits,
    LargePulls,
    MissedChanges,
    PullService,
    PushQueue,
    PushService,
    RestoredBackups,
    SyncClocks,
    SyncEvents,
    SyncMetrics,
    SyncRepository,
    SyncService,
    TombstonesService,
    WakeUps,
  ],
  exports: [PullService, RestoredBackups, SyncClocks, SyncEvents, SyncService, TombstonesService],
})
export class SyncModule {}
