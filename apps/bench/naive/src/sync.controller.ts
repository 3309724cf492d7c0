import { Body, Controller, Get, HttpCode, Post, Query, Req, UseGuards } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { AuthenticatedRequest } from './jwt.strategy.js';
import { type PushBody, SyncService } from './sync.service.js';

@Controller('sync')
@UseGuards(AuthGuard('jwt'))
export class SyncController {
  constructor(private readonly sync: SyncService) {}

  @Get('pull')
  pull(@Req() { user }: AuthenticatedRequest, @Query('lastPulledAt') lastPulledAt: string) {
    return this.sync.pull(user.userId, Number(lastPulledAt) || 0);
  }

  @Post('push')
  @HttpCode(200)
  push(@Req() { user }: AuthenticatedRequest, @Body() body: PushBody) {
    return this.sync.push(user.userId, body);
  }
}
