import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { AuthModule } from '../auth/auth.module.js';
import { UsersModule } from '../users/users.module.js';
import { AdminJobsService } from './admin-jobs.service.js';
import { AdminUsersController } from './admin-users.controller.js';
import { AdminUsersService } from './admin-users.service.js';
import { AuditEventsController } from './audit-events.controller.js';
import { JobsController } from './jobs.controller.js';

@Module({
  imports: [AuditModule, AuthModule, UsersModule],
  controllers: [AdminUsersController, AuditEventsController, JobsController],
  providers: [AdminJobsService, AdminUsersService],
})
export class AdminModule {}
