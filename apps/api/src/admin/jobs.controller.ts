import { Controller, Get, Param, Post, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { JobId, ListJobsQuery, QueuedJob, QueuedJobPage } from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { Roles } from '../platform/http/roles.decorator.js';
import { AdminJobsService } from './admin-jobs.service.js';

@ApiTags('admin')
@Controller('admin/jobs')
@Roles('admin')
export class JobsController {
  constructor(private readonly jobs: AdminJobsService) {}

  @Get()
  @ApiRoute({
    operationId: 'listJobs',
    summary: 'Deferred work that is not done, newest first',
    answers: [{ status: 200, description: 'A page of jobs', schema: QueuedJobPage }],
    problems: ['validation_failed'],
  })
  listJobs(@Query({ schema: ListJobsQuery }) query: ListJobsQuery): Promise<QueuedJobPage> {
    return this.jobs.list(query);
  }

  @Post(':id/retry')
  @ApiRoute({
    operationId: 'retryJob',
    summary: 'Try a failed job again, with all its attempts',
    answers: [{ status: 200, description: 'The job, which waits now', schema: QueuedJob }],
    problems: ['validation_failed', 'not_found', 'job_not_failed'],
  })
  retryJob(
    @Param('id', { schema: JobId }) id: string,
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
  ): Promise<QueuedJob> {
    return this.jobs.retry(id, principal, client);
  }
}
