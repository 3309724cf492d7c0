import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { toMarkdown, writeMarkdown } from './markdown.ts';
import type { Report, Result } from './report.ts';
import { checkTargets } from './targets.ts';

const machine = {
  cpu: 'a CPU',
  cores: 2,
  memoryGb: 8,
  system: 'Linux',
  node: '24.0.0',
  postgres: '18.0',
  measuredAt: '2026-11-21T00:00:00.000Z',
};

function comparison(
  id: string,
  unit: 'ms' | 'requests/s',
  medians: Record<string, number>,
): Result {
  const measurements = Object.entries(medians).map(([name, median]) => ({
    name,
    median,
    samples: [median],
    loadShare: 0,
  }));
  return { kind: 'comparison', id, title: `Case ${id}`, unit, measurements };
}

function report(...results: Result[]): Report {
  return { suite: 'sync', machine, results, isSmoke: false };
}

describe('targets', () => {
  test('a time is met up to the multiple of the limit, and from the multiple of the naive backend on', () => {
    const slow = comparison('push-1000', 'ms', { limit: 10, api: 13.1, naive: 327 });
    const fast = comparison('push-1000', 'ms', { limit: 10, api: 13, naive: 326 });
    assert.deepEqual(
      [slow, fast].map((result) => checkTargets(report(result)).map(({ isMet }) => isMet)),
      [
        [false, false],
        [true, true],
      ],
    );
  });

  test('a rate is met from the share of the limit on', () => {
    const slow = comparison('clients-push-5', 'requests/s', { limit: 100, api: 49, naive: 4 });
    const fast = comparison('clients-push-5', 'requests/s', { limit: 100, api: 50, naive: 2 });
    assert.deepEqual(
      [slow, fast].map((result) => checkTargets(report(result)).map(({ isMet }) => isMet)),
      [
        [false, false],
        [true, true],
      ],
    );
  });

  test('what was not measured is neither met nor missed', () => {
    assert.deepEqual(checkTargets(report()), []);
  });

  test('a smoke run is held to none', () => {
    const fast = comparison('push-1000', 'ms', { limit: 10, api: 10, naive: 300 });
    assert.deepEqual(checkTargets({ ...report(fast), isSmoke: true }), []);
  });
});

describe('the report', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(path.join(tmpdir(), 'rind-bench-spec-'))));
  afterEach(() => rm(folder, { recursive: true }));

  const results = report(
    comparison('pull-10000', 'ms', { limit: 10, api: 20, naive: 60, pgbench: 11 }),
  );

  test('names the ratios and says which targets are met', () => {
    const text = toMarkdown(results);
    assert.match(text, /\| Case pull-10000 \| 10 \| 11 \| 20 \| ×2 \| 60 \| 3 times as fast \|/);
    assert.match(text, /\| first pull of 10,000 rows \| within ×2 of the limit \| ×2 \| met \|/);
  });

  test('replaces what is between the markers of a file, as often as it is written', async () => {
    const file = path.join(folder, 'doc.md');
    await writeFile(file, 'before\n<!-- results -->\nold\n<!-- /results -->\nafter\n');
    await writeMarkdown(file, results);
    await writeMarkdown(file, results);
    assert.equal(
      await readFile(file, 'utf8'),
      `before\n<!-- results -->\n\n${toMarkdown(results)}\n<!-- /results -->\nafter\n`,
    );
  });

  test('has markers of its own for each kind of run', async () => {
    const file = path.join(folder, 'doc.md');
    const sync = '<!-- results -->\nold\n<!-- /results -->\n';
    await writeFile(file, `${sync}<!-- results http -->\nold\n<!-- /results http -->\n`);
    await writeMarkdown(file, { ...results, suite: 'http' });
    assert.equal(
      await readFile(file, 'utf8'),
      `${sync}<!-- results http -->\n\n${toMarkdown(results)}\n<!-- /results http -->\n`,
    );
  });

  test('is the whole of a file without markers', async () => {
    const file = path.join(folder, 'new.md');
    await writeMarkdown(file, results);
    assert.equal(await readFile(file, 'utf8'), toMarkdown(results));
  });
});
