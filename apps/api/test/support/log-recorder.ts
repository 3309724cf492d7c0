import { Logger } from '@nestjs/common';
import { JsonLogger } from '../../src/platform/logging/json-logger.js';
import { witness } from './witness.js';

/** One line of the log, as it would have been printed. */
export type LogLine = Record<string, unknown> & { level: string; msg?: string };

/** Takes what the API logs from now on. The logger is the process's: instances in one file share it. */
export class LogRecorder {
  readonly lines: LogLine[] = [];

  constructor() {
    const write = (line: string) => {
      witness.hear(line);
      this.lines.push(JSON.parse(line) as LogLine);
    };
    Logger.overrideLogger(new JsonLogger({ logLevel: 'info' }, { write }));
  }

  /** All of it as text, to search for what must not be there. */
  get text(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }

  find(message: string): LogLine[] {
    return this.lines.filter(({ msg }) => msg === message);
  }
}
