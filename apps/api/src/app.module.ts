import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE } from '@nestjs/core';
import type { SyncTable } from '@rind/contracts';
import { AdminModule } from './admin/admin.module.js';
import { AuthModule } from './auth/auth.module.js';
import { AuthenticateGuard } from './auth/authenticate.guard.js';
import { AuthorizeGuard } from './auth/authorize.guard.js';
import { RolesGuard } from './auth/roles.guard.js';
import { HealthModule } from './health/health.module.js';
import { MaintenanceModule } from './maintenance/maintenance.module.js';
import { ClockModule } from './platform/clock/clock.module.js';
import { NotificationsModule } from './notifications/notifications.module.js';
import type { Config } from './platform/config/config.js';
import { ConfigModule } from './platform/config/config.module.js';
import { DatabaseModule } from './platform/database/database.module.js';
import { ProblemFilter } from './platform/errors/problem.filter.js';
import { validationPipe } from './platform/errors/validation.pipe.js';
import { HttpModule } from './platform/http/http.module.js';
import { RateLimitGuard } from './platform/http/rate-limits/rate-limit.guard.js';
import { JobsModule } from './platform/jobs/jobs.module.js';
import { MetricsModule } from './platform/metrics/metrics.module.js';
import { RealtimeModule } from './platform/realtime/realtime.module.js';
import { ShutdownModule } from './platform/shutdown/shutdown.module.js';
import { SecretsModule } from './platform/secrets/secrets.module.js';
import { SyncTablesModule } from './sync/sync-tables.module.js';
import { SyncModule } from './sync/sync.module.js';
import { UsersModule } from './users/users.module.js';

@Module({})
export class AppModule {
  static register(config: Config, tables: readonly SyncTable[]): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.register(config),
        DatabaseModule,
        HttpModule,
        JobsModule,
        MetricsModule,
        ClockModule,
        RealtimeModule,
        ShutdownModule,
        SecretsModule,
        SyncTablesModule.register(tables),
        AuthModule,
        UsersModule,
        AdminModule,
        SyncModule,
        NotificationsModule,
        HealthModule,
        MaintenanceModule,
      ],
      providers: [
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_PIPE, useFactory: validationPipe },
        // In this order: who asks, how often, whether they may.
        { provide: APP_GUARD, useClass: AuthenticateGuard },
        { provide: APP_GUARD, useClass: RateLimitGuard },
        { provide: APP_GUARD, useClass: AuthorizeGuard },
        { provide: APP_GUARD, useClass: RolesGuard },
      ],
    };
  }
}
