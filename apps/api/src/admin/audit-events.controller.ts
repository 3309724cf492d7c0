import { Controller, Get, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { AuditEventPage, ListAuditEventsQuery } from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { Roles } from '../platform/http/roles.decorator.js';

@ApiTags('admin')
@Controller('admin/audit-events')
@Roles('admin')
export class AuditEventsController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @ApiRoute({
    operationId: 'listAuditEvents',
    summary: 'What happened to accounts, newest first',
    answers: [{ status: 200, description: 'A page of events', schema: AuditEventPage }],
    problems: ['validation_failed'],
  })
  listAuditEvents(
    @Query({ schema: ListAuditEventsQuery }) query: ListAuditEventsQuery,
  ): Promise<AuditEventPage> {
    return this.audit.list(query);
  }
}
