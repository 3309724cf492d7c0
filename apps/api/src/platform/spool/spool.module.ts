import { Module } from '@nestjs/common';
import { SpoolLimits, Spools } from './spools.js';

@Module({ providers: [Spools, SpoolLimits], exports: [Spools] })
export class SpoolModule {}
