import { Module } from '@nestjs/common';
import { AuditMetrics } from './audit-metrics.js';
import { AuditPurge } from './audit-purge.service.js';
import { AuditRepository } from './audit.repository.js';
import { AuditService } from './audit.service.js';

@Module({
  providers: [AuditMetrics, AuditPurge, AuditRepository, AuditService],
  exports: [AuditService],
})
export class AuditModule {}
