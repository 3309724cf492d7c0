import { RateLimiterPostgres } from 'rate-limiter-flexible';
import type { Database } from '../../database/database.js';

interface ExactLimit {
  /** Stands before each key. */
  readonly name: string;
  readonly points: number;
  readonly durationSeconds: number;
}

/** Counts in the database, so that all instances together allow no more than one would. */
export function exactLimiter(
  database: Database,
  { name, points, durationSeconds }: ExactLimit,
): RateLimiterPostgres {
  return new RateLimiterPostgres({
    storeClient: database,
    storeType: 'pool',
    tableName: 'rate_limits',
    // The migrations create it.
    tableCreated: true,
    // A job does that once for all processes.
    clearExpiredByTimeout: false,
    keyPrefix: name,
    points,
    duration: durationSeconds,
  });
}
