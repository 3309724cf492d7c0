import { Global, Module } from '@nestjs/common';
import { JobMetrics } from './job-metrics.js';
import { JobQueue } from './job-queue.js';
import { JobsTiming, JobWorker } from './job-worker.js';
import { Jobs } from './jobs.js';

@Global()
@Module({
  providers: [JobMetrics, JobQueue, Jobs, JobsTiming, JobWorker],
  exports: [JobQueue, Jobs, JobWorker],
})
export class JobsModule {}
