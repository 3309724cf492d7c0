import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interleave } from './interleave.ts';
import { quantile } from './statistics.ts';

test('every round is begun by another contestant, and nobody takes part for longer than told', async () => {
  const turns: string[] = [];
  const sampler = (name: string, rounds?: number) => ({
    name,
    ...(rounds !== undefined && { rounds }),
    sample: () => {
      turns.push(name);
      return Promise.resolve([turns.length]);
    },
  });

  const measurements = await interleave([sampler('a'), sampler('b'), sampler('c', 1)], 3);

  assert.equal(turns.join(''), 'abcbaab');
  assert.deepEqual(
    measurements.map(({ name, median }) => [name, median]),
    [
      ['a', 5],
      ['b', 4],
      ['c', 3],
    ],
  );
});

test('a quantile lies between the values around it', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([4, 1, 2, 3], 0.5), 2.5);
  assert.equal(quantile([1, 2], 0.99), 1.99);
});
