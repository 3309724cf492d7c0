import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '..');
const workflows = globSync('.github/workflows/*.yml', { cwd: ROOT });
const actions = globSync('.github/actions/*/action.yml', { cwd: ROOT });
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

interface Step {
  run?: string;
  uses?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}

interface Job {
  env?: Record<string, string>;
  concurrency?: { group?: string };
  if?: string;
  permissions?: Record<string, string>;
  with?: Record<string, unknown>;
  'timeout-minutes'?: number;
  uses?: string;
  steps?: Step[];
}

interface Workflow {
  permissions?: object;
  concurrency?: { group?: string };
  env?: Record<string, string>;
  jobs: Record<string, Job>;
}

const stepsOf = (file: string): Step[] => {
  const { jobs, runs } = parse(read(file)) as Partial<Workflow> & { runs?: Job };
  return [...Object.values(jobs ?? {}), runs ?? {}].flatMap(({ steps }) => steps ?? []);
};

// What is wrong in itself is for actionlint, which `pnpm lint` runs.
describe('The workflows', () => {
  test('are there', () => {
    assert.ok(workflows.length >= 3 && actions.length >= 1);
  });

  for (const file of [...workflows, ...actions]) {
    test(`${file} names the actions of others by commit, with the version in a comment`, () => {
      const used = Array.from(read(file).matchAll(/\buses: *(.*)$/gm), ([, name]) => name!);
      for (const name of used.filter((name) => !name.startsWith('./'))) {
        assert.match(name, /^[\w-]+(\/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      }
    });

    test(`${file} puts no expression into a script, where its text would be run`, () => {
      for (const { run } of stepsOf(file)) assert.doesNotMatch(run ?? '', /\$\{\{/);
    });
  }

  for (const file of workflows) {
    test(`${file} gives its token to single steps, none of which runs packages`, () => {
      const { env, jobs } = parse(read(file)) as Workflow;
      for (const job of [{ env }, ...Object.values(jobs)]) {
        assert.doesNotMatch(JSON.stringify(job.env ?? {}), /github\.token|secrets\./);
      }
      for (const step of stepsOf(file)) {
        if (step.uses?.startsWith('actions/checkout@')) {
          assert.equal(step.with?.['persist-credentials'], false);
        }
        if (JSON.stringify(step.env ?? {}).includes('github.token')) {
          assert.doesNotMatch(step.run ?? '', /\b(?:node|npm|pnpm)\b/);
        }
      }
    });

    test(`${file} gives each job only the permissions that it names, and an end`, () => {
      const { permissions, concurrency, jobs } = parse(read(file)) as Workflow;
      assert.deepEqual(permissions, {});
      assert.ok(concurrency?.group);
      for (const [name, job] of Object.entries(jobs)) {
        assert.ok(Object.keys(job.permissions ?? {}).length > 0, name);
        assert.ok(job.uses?.startsWith('./') || Number(job['timeout-minutes']) > 0, name);
      }
    });
  }
});

describe('A commit of main', () => {
  const ofFile = (name: string) => parse(read(join('.github/workflows', name))) as Workflow;

  test('waits for no other one until production, where GitHub keeps one waiting', () => {
    for (const name of ['ci.yml', 'deploy.yml']) {
      assert.match(ofFile(name).concurrency?.group ?? '', /github\.sha \}\}$/, name);
    }
    const { production } = ofFile('deploy.yml').jobs;
    assert.equal(production?.concurrency?.group, 'production');
    assert.match(production?.if ?? '', /^needs\.image\.outputs\.newest == 'true' &&/);
  });

  test('is published as the image that was tried', () => {
    const built = stepsOf('.github/workflows/deploy.yml').filter(({ uses = '' }) =>
      uses.startsWith('docker/build-push-action@'),
    );
    assert.deepEqual(built, []);
    const { deploy } = ofFile('ci.yml').jobs;
    assert.equal(deploy?.with?.['digest'], '${{ needs.image.outputs.digest }}');
  });
});

test('Dependabot looks after everything that the repository depends on, in groups', () => {
  const { version, updates } = parse(read('.github/dependabot.yml')) as {
    version: number;
    updates: { 'package-ecosystem': string; groups?: object; schedule?: { interval?: string } }[];
  };
  assert.equal(version, 2);
  assert.deepEqual(
    updates.map((update) => update['package-ecosystem']),
    ['npm', 'github-actions', 'docker', 'docker-compose'],
  );
  for (const { groups, schedule } of updates) {
    assert.ok(Object.keys(groups ?? {}).length > 0);
    assert.equal(schedule?.interval, 'weekly');
  }
});
