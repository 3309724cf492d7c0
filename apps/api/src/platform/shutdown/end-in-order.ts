import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { JobWorker } from '../jobs/job-worker.js';
import { Shutdown } from './shutdown.js';

/** Jobs end while requests are still taken; what both of them need is closed after them. */
export function endInOrder(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  const shutdown = app.get(Shutdown);
  const jobWorker = app.get(JobWorker);
  shutdown.once('begun', () => void jobWorker.stop());
  shutdown.once('overdue', () => {
    // A client that never sends the rest of its request would hold up the end for ever.
    fastify.server.closeAllConnections();
    jobWorker.giveBack().catch(() => undefined);
  });
  fastify.addHook('onSend', async (_request, reply) => {
    // What comes next on this connection could meet a process that has ended.
    if (shutdown.hasBegun) reply.header('connection', 'close');
  });
  fastify.addHook('onClose', async () => {
    await jobWorker.stop();
    shutdown.end();
  });
}
