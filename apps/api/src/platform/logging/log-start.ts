import { Logger } from '@nestjs/common';
import type { Config } from '../config/config.js';
import { version } from '../version.js';

/** What runs here, for whoever reads the log later. */
export function logStart({ commit, environment, port, worker }: Config): void {
  new Logger('Process').log(
    { version, commit, environment, worker, port, node: process.version },
    'Listening',
  );
}
