export type {
  ProjectRecord,
  PushWarning,
  SyncSchema,
  SyncSchemaTable,
  TaskRecord,
} from '../generated/types.gen.js';
export { appSchemaFrom, migrationsFrom, type SyncedRecords } from './app-schema.js';
export type { Clock } from './clock.js';
export {
  createSync,
  type CreateSyncOptions,
  type RejectedRecord,
  type Sync,
  type SyncResult,
  type SyncState,
  type SyncStatus,
} from './create-sync.js';
export { type LocalErrorCode, SyncError, type SyncErrorCode } from './sync-error.js';
export type { Tokens, TokenStorage } from './tokens.js';
export { findViolations, type Violation } from './violations.js';
