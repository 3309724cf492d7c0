import { Readable } from 'node:stream';
import {
  Body,
  Controller,
  Get,
  Header,
  Post,
  Query,
  Req,
  Res,
  StreamableFile,
  UseGuards,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  type AcceptedPushBody,
  PullQuery,
  PullResult,
  PushInput,
  PushResult,
  SyncSchema,
} from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { negotiateCoding } from '../platform/http/content-coding.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { RateLimit } from '../platform/http/rate-limits/rate-limit.decorator.js';
import { PullService } from './pull.service.js';
import { PushService } from './push.service.js';
import { SettledGuard } from './restored-backups.js';
import { SyncService } from './sync.service.js';

@ApiTags('sync')
@Controller('sync')
@RateLimit('sync')
export class SyncController {
  constructor(
    private readonly pulls: PullService,
    private readonly pushes: PushService,
    private readonly sync: SyncService,
  ) {}

  @Get('schema')
  @ApiRoute({
    operationId: 'getSyncSchema',
    summary: 'The synced tables, from which clients make their own schema',
    answers: [{ status: 200, description: 'The tables', schema: SyncSchema }],
  })
  getSchema(): SyncSchema {
    return this.sync.getSchema();
  }

  @Get('pull')
  @UseGuards(SettledGuard)
  @Header('content-type', 'application/json; charset=utf-8')
  @ApiRoute({
    operationId: 'pullChanges',
    summary: 'Everything that changed since the last pull (WatermelonDB `pullChanges`)',
    answers: [{ status: 200, description: 'Changes and the new cursor', schema: PullResult }],
    answersText: true,
    problems: ['validation_failed', 'invalid_cursor'],
  })
  async pull(
    @CurrentPrincipal() principal: Principal,
    @Query({ schema: PullQuery }) query: PullQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer | StreamableFile> {
    const { body, coding, report } = await this.pulls.pull(principal, query, {
      coding: negotiateCoding(request.headers['accept-encoding']),
      signal: request.signal,
    });
    request.logged = { pull: report, coding };
    reply.header('vary', [reply.getHeader('vary') ?? [], 'Accept-Encoding'].flat().join(', '));
    if (coding !== 'identity') reply.header('content-encoding', coding);
    return body instanceof Readable ? new StreamableFile(body) : body;
  }

  @Post('push')
  // Drawn on before the body is read (LargeBodies).
  @RateLimit('none')
  @UseGuards(SettledGuard)
  @ApiRoute({
    operationId: 'pushChanges',
    summary: 'Apply local changes, all or nothing (WatermelonDB `pushChanges`)',
    description: 'The body may be sent with `Content-Encoding: gzip`.',
    answers: [{ status: 200, description: 'Applied', schema: PushResult }],
    problems: ['validation_failed', 'invalid_cursor', 'sync_conflict', 'sync_content_refused'],
  })
  async push(
    @CurrentPrincipal() principal: Principal,
    @Body({ schema: PushInput }) body: AcceptedPushBody,
    @Req() request: FastifyRequest,
  ): Promise<PushResult> {
    // A refused push has nothing else to tell.
    request.logged = { push: { lastPulledAt: body.lastPulledAt } };
    const { result, report } = await this.pushes.push(principal, body);
    request.logged = { push: report };
    return result;
  }
}
