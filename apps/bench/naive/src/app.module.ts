import { Module } from '@nestjs/common';
import { PassportModule } from '@nestjs/passport';
import { AppController } from './app.controller.js';
import { JwtStrategy } from './jwt.strategy.js';
import { PrismaService } from './prisma.service.js';
import { SyncController } from './sync.controller.js';
import { SyncService } from './sync.service.js';

@Module({
  imports: [PassportModule],
  controllers: [AppController, SyncController],
  providers: [JwtStrategy, PrismaService, SyncService],
})
export class AppModule {}
