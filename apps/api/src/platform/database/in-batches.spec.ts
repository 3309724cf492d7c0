import { expect, test } from '@jest/globals';
import { userByUser } from './in-batches.js';

test.each([
  ['nobody', []],
  ['less than a batch', ['a']],
  ['whole batches', ['a', 'b', 'c', 'd']],
  ['a last batch that is not full', ['a', 'b', 'c', 'd', 'e']],
])('user by user, everybody is treated once: %s', async (_, all) => {
  const treated: string[] = [];
  const total = await userByUser(
    async (after, limit) => all.filter((id) => id > (after ?? '')).slice(0, limit),
    async (id) => treated.push(id) && 10,
    2,
  );
  expect(treated).toEqual(all);
  expect(total).toBe(10 * all.length);
});
