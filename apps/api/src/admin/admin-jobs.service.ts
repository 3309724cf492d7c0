import { Injectable } from '@nestjs/common';
import type { ListJobsQuery, Page, QueuedJob } from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { bytesOfNumber, numberOfCursor, toPage } from '../platform/http/page-cursor.js';
import type { Principal } from '../platform/http/principal.js';
import { JobQueue, type QueueEntry } from '../platform/jobs/job-queue.js';

@Injectable()
export class AdminJobsService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly queue: JobQueue,
  ) {}

  /** Newest first. */
  async list({ state, cursor, limit }: ListJobsQuery): Promise<Page<QueuedJob>> {
    const beforeId = cursor === undefined ? null : numberOfCursor(cursor);
    const entries = await this.queue.list({ state: state ?? null, beforeId, limit: limit + 1 });
    return toPage(entries, limit, toQueuedJob, bytesOfNumber);
  }

  /** @throws DomainError `not_found`; `job_not_failed`, also for the second of two at once */
  async retry(id: string, { userId: actorId }: Principal, client: ClientInfo): Promise<QueuedJob> {
    return this.database.transaction(async () => {
      const job = await this.queue.lock(id);
      if (!job) throw new DomainError('not_found', { detail: 'There is no such job' });
      if (job.state !== 'failed') throw new DomainError('job_not_failed');
      await this.queue.retry(id);
      const detail = { jobId: id, name: job.name };
      await this.audit.record({ action: 'job_retried', userId: null, actorId, detail }, client);
      return toQueuedJob((await this.queue.lock(id))!);
    });
  }
}

function toQueuedJob({ createdAt, runAt, ...entry }: QueueEntry): QueuedJob {
  return { ...entry, createdAt: createdAt.toISOString(), runAt: runAt.toISOString() };
}
