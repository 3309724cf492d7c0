import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Shutdown } from '../shutdown/shutdown.js';
import { RequestLog } from './request-log.js';

/** Tells when the process begins to stop, and what that took. */
@Injectable()
export class DrainLog implements OnApplicationShutdown {
  private readonly logger = new Logger('Process');
  private startedAt = 0;
  private countBefore = 0;

  constructor(
    private readonly requests: RequestLog,
    shutdown: Shutdown,
  ) {
    shutdown.once('begun', () => this.begin());
  }

  /** When server and sockets have closed, and the last job is done. */
  onApplicationShutdown(): void {
    const durationMs = Math.round(performance.now() - this.startedAt);
    const requests = this.requests.count - this.countBefore;
    this.logger.log({ durationMs, requests }, 'Stopped');
  }

  private begin(): void {
    this.startedAt = performance.now();
    this.countBefore = this.requests.count;
    this.logger.log('Stopping: what is under way is finished');
  }
}
