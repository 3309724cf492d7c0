import { Injectable, Logger } from '@nestjs/common';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import type { MeasuredQuery } from './measured-queries.js';

/** Those that Prisma builds may be of any length. */
const MAX_TEXT_LENGTH = 1_000;

/** Tells of statements that took longer than `SLOW_QUERY_MS`. Never with their parameters, which may be anything. */
@Injectable()
export class SlowQueries {
  private readonly logger = new Logger('Queries');
  private readonly thresholdMs: number;

  constructor(@InjectConfig() { database }: Config) {
    this.thresholdMs = database.slowQueryMs;
  }

  consider({ name, text, request }: MeasuredQuery, ms: number): void {
    if (ms < this.thresholdMs) return;
    this.logger.warn(
      {
        ...request,
        durationMs: Math.round(ms),
        ...(name !== undefined && { statement: name }),
        sql: text.slice(0, MAX_TEXT_LENGTH),
      },
      'A query was slow',
    );
  }
}
