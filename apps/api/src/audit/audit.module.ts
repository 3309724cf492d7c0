import { Module } from '@nestjs/common';
import { AuditMetrics } from './audit-metrics.js';
import { AuditRepository } from './audit.repository.js';
import { AuditService } from './audit.service.js';

@Module({ providers: [AuditMetrics, AuditRepository, AuditService], exports: [AuditService] })
export class AuditModule {}
