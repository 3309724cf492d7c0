export type {
  ProjectRecord,
  SyncSchema,
  SyncSchemaTable,
  TaskRecord,
} from '../generated/types.gen.js';
export { appSchemaFrom, migrationsFrom, type SyncedRecords } from './app-schema.js';
export { findViolations, type Violation } from './violations.js';
