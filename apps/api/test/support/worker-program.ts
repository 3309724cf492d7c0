// A process that does jobs and nothing else, and tells a test what it does: see WorkerProcess.
import { loadConfig } from '../../dist/platform/config/config.js';
import { Database } from '../../dist/platform/database/database.js';
import { DatabaseMetrics } from '../../dist/platform/database/database-metrics.js';
import { DatabaseProbe } from '../../dist/platform/database/database-probe.js';
import { SlowQueries } from '../../dist/platform/database/slow-queries.js';
import { JobMetrics } from '../../dist/platform/jobs/job-metrics.js';
import { JobQueue } from '../../dist/platform/jobs/job-queue.js';
import { JobsTiming, JobWorker } from '../../dist/platform/jobs/job-worker.js';
import { Jobs } from '../../dist/platform/jobs/jobs.js';
import { Metrics } from '../../dist/platform/metrics/metrics.js';
import { effect, EFFECTS, QUICK } from './worker-process.ts';

const config = loadConfig(process.env);
const database = new Database(config);
const jobs = new Jobs(database);
const allowed = Promise.withResolvers<void>();
process.once('message', () => allowed.resolve());

jobs.handle(effect, async ({ n }) => {
  process.send?.({ begun: n });
  await allowed.promise;
  await database.run(
    { name: 'effect', text: `INSERT INTO ${EFFECTS} VALUES ($1, $2) RETURNING 1` },
    [n, process.pid],
  );
});

const metrics = new Metrics(config);
const worker = new JobWorker(
  config,
  jobs,
  Object.assign(new JobsTiming(), QUICK),
  new JobMetrics(metrics, new JobQueue(database, jobs, new DatabaseProbe(config))),
  new DatabaseMetrics(metrics, new SlowQueries(config)),
);
worker.onApplicationBootstrap();
process.once('disconnect', () => {
  void worker.stop().then(() => database.onApplicationShutdown());
});
