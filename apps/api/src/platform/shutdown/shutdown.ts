import { EventEmitter } from 'node:events';
import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';

interface ShutdownEvents {
  begun: [];
  /** `SHUTDOWN_GRACE_SECONDS` are over: what has not ended by itself is cut off. */
  overdue: [];
}

/**
 * The end of this process: announced, so that balancers send requests elsewhere, and bounded, so that
 * whoever stops it does not lose patience and kill it.
 */
@Injectable()
export class Shutdown extends EventEmitter<ShutdownEvents> implements OnModuleDestroy {
  private readonly logger = new Logger(Shutdown.name);
  private readonly graceSeconds: number;
  private deadline: NodeJS.Timeout | undefined;

  constructor(@InjectConfig() { shutdown }: Config) {
    super();
    this.graceSeconds = shutdown.graceSeconds;
  }

  get hasBegun(): boolean {
    return this.deadline !== undefined;
  }

  begin(): void {
    if (this.hasBegun) return;
    this.deadline = setTimeout(() => {
      this.logger.warn('SHUTDOWN_GRACE_SECONDS are over: what has not ended is cut off');
      this.emit('overdue');
    }, this.graceSeconds * 1000);
    this.emit('begun');
  }

  /** The application is closed without a signal. */
  onModuleDestroy(): void {
    this.begin();
  }

  /** Nothing is left that could be cut off. */
  end(): void {
    clearTimeout(this.deadline);
  }
}
