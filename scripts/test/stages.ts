import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = dirname(dirname(import.meta.dirname));
export const RESULTS = join(ROOT, 'node_modules', '.cache', 'rind', 'test-results');
export const JEST_RESULT = join(RESULTS, 'jest.json');
export const POOLED_RESULT = join(RESULTS, 'jest-pooled.json');
export const SCRIPTS_RESULT = join(RESULTS, 'scripts.tap');

export interface Stage {
  name: string;
  title: string;
  /** What Node is started with. */
  args: readonly string[];
  /** Its tests are part of the totals at the end. */
  countsTests?: boolean;
}

mkdirSync(RESULTS, { recursive: true });

function packageScript(script: string, ...args: string[]): string[] {
  // Node runs the scripts of package.json itself, so no package manager has to be on the PATH.
  return ['--run', script, ...(args.length > 0 ? ['--', ...args] : [])];
}

/** In the order in which they run: what the later ones need is built by the first. */
export const stages: readonly Stage[] = [
  { name: 'types', title: 'Types', args: packageScript('typecheck') },
  { name: 'lint', title: 'Formatting and lint', args: packageScript('lint') },
  { name: 'boundaries', title: 'Dependency boundaries', args: packageScript('boundaries') },
  { name: 'deadcode', title: 'Dead code', args: packageScript('deadcode') },
  { name: 'errors', title: 'Error documentation', args: packageScript('errors:check') },
  { name: 'drift', title: 'Database drift', args: packageScript('db:drift', '--schema-only') },
  { name: 'migrations', title: 'Migrations', args: packageScript('db:check') },
  { name: 'openapi', title: 'OpenAPI document', args: packageScript('openapi:check') },
  { name: 'breaking', title: 'Breaking changes', args: packageScript('openapi:breaking') },
  { name: 'sdk', title: 'SDK', args: packageScript('sdk:check') },
  {
    name: 'scripts',
    title: 'Tests of the scripts',
    countsTests: true,
    args: [
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${SCRIPTS_RESULT}`,
      'scripts/**/*.spec.ts',
      'apps/bench/src/**/*.spec.ts',
    ],
  },
  {
    name: 'jest',
    title: 'Unit, database and end-to-end tests',
    countsTests: true,
    args: packageScript('test:jest', '--ci', '--json', `--outputFile=${JEST_RESULT}`),
  },
  {
    name: 'pooled',
    title: 'Tests behind PgBouncer',
    countsTests: true,
    args: packageScript('test:pooled', '--ci', '--json', `--outputFile=${POOLED_RESULT}`),
  },
];
