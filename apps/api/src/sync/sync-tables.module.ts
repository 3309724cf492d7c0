import { type DynamicModule, Global, Inject, Module } from '@nestjs/common';
import type { SyncTable } from '@rind/contracts';

const SYNC_TABLES = Symbol('sync tables');

/** The registry: every synced table, parents before children. */
export const InjectSyncTables = () => Inject(SYNC_TABLES);

@Global()
@Module({})
export class SyncTablesModule {
  static register(tables: readonly SyncTable[]): DynamicModule {
    return {
      module: SyncTablesModule,
      providers: [{ provide: SYNC_TABLES, useValue: tables }],
      exports: [SYNC_TABLES],
    };
  }
}
