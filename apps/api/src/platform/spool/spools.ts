import { tmpdir } from 'node:os';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ConfigError, type Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { openUnlinked, Spool } from './spool.js';

const MB = 1024 * 1024;

@Injectable()
export class SpoolLimits {
  /** Of one spool; the rest of it is in a file. */
  readonly memoryBytes: number = MB;
  /** What one spool may hold that was not read yet. */
  readonly bytesPerSpool: number = 256 * MB;
  /** What all of them may. */
  readonly bytesPerProcess: number = 2048 * MB;
}

export class SpoolFullError extends Error {
  override readonly name = 'SpoolFullError';
}

/** The spools of this process, in `RIND_SPOOL_DIR`. */
@Injectable()
export class Spools implements OnModuleInit {
  private readonly directory: string;
  private held = 0;
  private opened = 0;

  constructor(
    @InjectConfig() config: Config,
    private readonly limits: SpoolLimits,
  ) {
    this.directory = config.spoolDirectory ?? tmpdir();
  }

  /** How many are open. */
  get count(): number {
    return this.opened;
  }

  /** What they hold together. */
  get bytes(): number {
    return this.held;
  }

  /** Fails the start rather than somebody's first sync. */
  async onModuleInit(): Promise<void> {
    try {
      const file = await openUnlinked(this.directory);
      await file.close();
    } catch (error) {
      throw new ConfigError([
        `RIND_SPOOL_DIR: cannot write to ${this.directory} (${(error as NodeJS.ErrnoException).code})`,
      ]);
    }
  }

  /** Its errors are `SpoolFullError`, and those of the disk. */
  open(): Spool {
    const spool = new Spool({
      directory: this.directory,
      memoryBytes: this.limits.memoryBytes,
      reserve: (bytes, held) => this.reserve(bytes, held),
      release: (bytes) => {
        this.held -= bytes;
      },
    });
    this.opened += 1;
    spool.once('close', () => {
      this.opened -= 1;
    });
    return spool;
  }

  private reserve(bytes: number, heldByOne: number): void {
    const { bytesPerSpool, bytesPerProcess } = this.limits;
    if (heldByOne + bytes > bytesPerSpool) {
      throw new SpoolFullError(`A spool may hold ${bytesPerSpool} bytes`);
    }
    if (this.held + bytes > bytesPerProcess) {
      throw new SpoolFullError(`All spools together may hold ${bytesPerProcess} bytes`);
    }
    this.held += bytes;
  }
}
