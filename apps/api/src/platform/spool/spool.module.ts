import { Module } from '@nestjs/common';
import { SpoolMetrics } from './spool-metrics.js';
import { SpoolLimits, Spools } from './spools.js';

@Module({ providers: [Spools, SpoolLimits, SpoolMetrics], exports: [Spools] })
export class SpoolModule {}
