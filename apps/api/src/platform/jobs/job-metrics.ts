import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { Metrics } from '../metrics/metrics.js';
import { JobQueue } from './job-queue.js';

/** What operators may want to know of jobs: counts of this process, and the queue that all share. */
@Injectable()
export class JobMetrics {
  private readonly done: Counter<'job'>;
  private readonly failures: Counter<'job'>;
  private readonly deaths: Counter<'job'>;

  constructor(metrics: Metrics, queue: JobQueue) {
    this.done = metrics.counter({
      name: 'rind_jobs_done_total',
      help: 'Jobs that were done',
      labelNames: ['job'],
    });
    this.failures = metrics.counter({
      name: 'rind_jobs_failures_total',
      help: 'Attempts of jobs that failed',
      labelNames: ['job'],
    });
    this.deaths = metrics.counter({
      name: 'rind_jobs_given_up_total',
      help: 'Jobs whose last attempt failed',
      labelNames: ['job'],
    });
    metrics.gauges({
      gauges: {
        rind_jobs_waiting: 'Jobs in the queue that wait, also those that will be tried again',
        rind_jobs_running: 'Jobs in the queue that some process does',
        rind_jobs_failed: 'Jobs in the queue that have failed for good',
        rind_jobs_oldest_due_seconds: 'For how long the oldest job that is due has waited',
      },
      read: async () => {
        const { waiting, running, failed, oldestDueSeconds } = await queue.measure();
        return {
          rind_jobs_waiting: waiting,
          rind_jobs_running: running,
          rind_jobs_failed: failed,
          rind_jobs_oldest_due_seconds: oldestDueSeconds,
        };
      },
    });
  }

  countDone(job: string): void {
    this.done.inc({ job });
  }

  countFailure(job: string, isFinal: boolean): void {
    this.failures.inc({ job });
    if (isFinal) this.deaths.inc({ job });
  }
}
