import path from 'node:path';
import original from '../../jest.config.js';
import { findPgBouncer } from '../support/pgbouncer.ts';

// Enough to meet what a pooler could change; the run of all tests plays more of them.
process.env['RIND_HISTORIES_COUNT'] ??= '25';

const hasPgBouncer = findPgBouncer() !== null;

/** What depends on transactions, locks, streams or notices: what a pooler in transaction mode could break. */
const specs = [
  'test/pooled/*.pooled-spec.ts',
  'test/database/workers.pg.spec.ts',
  'src/platform/jobs/jobs.pg.spec.ts',
  'src/platform/realtime/instance-link.pg.spec.ts',
  ...[
    'heartbeat',
    'histories',
    'password-attempts',
    'pull-snapshot',
    'push-races',
    'push-retries',
    'realtime-instances',
    'refresh',
    'refresh-processes',
    'workers',
  ].map((name) => `test/e2e/${name}.e2e-spec.ts`),
];

const [, database] = original.projects;

/**
 * Tests of the database and of the running API once more, through PgBouncer in transaction mode.
 *
 * @type {import('jest').Config}
 */
export default {
  ...original,
  rootDir: path.join(import.meta.dirname, '..', '..'),
  passWithNoTests: !hasPgBouncer,
  projects: [
    {
      ...database,
      rootDir: path.join(import.meta.dirname, '..', '..'),
      displayName: 'pooled',
      testMatch: specs.map((spec) => `<rootDir>/${spec}`),
      testPathIgnorePatterns: hasPgBouncer ? ['/node_modules/'] : ['.'],
      globalSetup: '<rootDir>/test/pooled/global-setup.ts',
    },
  ],
};
