import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Teardown } from './teardown.ts';

test('the end undoes the latest first, also behind a failure, which it reports', async () => {
  const teardown = new Teardown();
  const undone: string[] = [];
  const undo = (name: string) => () => Promise.resolve(undone.push(name));
  teardown.add(undo('folder'));
  teardown.add(() => Promise.reject(new Error('no server')));
  teardown.add(undo('database'));

  await assert.rejects(teardown.run(), /no server/);

  assert.deepEqual(undone, ['database', 'folder']);
});

test('nothing is made any more once the end has begun', async () => {
  const teardown = new Teardown();
  await teardown.run();
  assert.throws(() => teardown.add(() => Promise.resolve()), /over/);
});
