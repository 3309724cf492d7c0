import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from './platform/config/config.js';
import { Shutdown } from './platform/shutdown/shutdown.js';

/** For what was cut off to end, and for jobs to be given back. */
const LAST_RESORT_MS = 1_000;

/**
 * Ends the process when it is asked to: with 0 when everything has ended, else, shortly after
 * `SHUTDOWN_GRACE_SECONDS`, with 1.
 */
export function stopOnSignals(app: NestFastifyApplication, { shutdown }: Config): void {
  const logger = new Logger('Shutdown');
  const ending = app.get(Shutdown);
  const endAnyway = (): never => {
    logger.error('Something does not end: the process ends without it');
    process.exit(1);
  };
  const stop = async (): Promise<void> => {
    // One request may arrive several times: from the terminal, and from whoever started the process.
    if (ending.hasBegun) return;
    // Counted from when the rest is cut off, by a process that stood still meanwhile as well, and before
    // anything that waits from then on, or what was cut off would count as ended.
    setTimeout(() => setTimeout(endAnyway, LAST_RESORT_MS), shutdown.graceSeconds * 1000);
    ending.begin();
    // Whoever balances requests sends them here until it has asked whether this process is ready.
    await delay(shutdown.delaySeconds * 1000);
    try {
      await app.close();
      process.exit(0);
    } catch (error) {
      logger.error({ err: error }, 'The process could not end as it should');
      process.exit(1);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => void stop());
}
