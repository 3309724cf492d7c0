import { describe, expect, test } from '@jest/globals';
import { Slots } from './slots.js';

const never = new AbortController().signal;

/** Whether it has settled once everything that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await new Promise(setImmediate);
  return settled;
}

describe('slots', () => {
  test('lets in as many as there are, and the others in the order they came', async () => {
    const slots = new Slots(2);
    const first = await slots.take(never);
    await slots.take(never);
    const third = slots.take(never);
    const fourth = slots.take(never);
    expect(await isSettled(third)).toBe(false);
    first();
    const leaveThird = await third;
    expect(await isSettled(fourth)).toBe(false);
    leaveThird();
    await fourth;
  });

  test('takes a place back once, however often it is given', async () => {
    const slots = new Slots(1);
    const leave = await slots.take(never);
    leave();
    await slots.take(never);
    leave();
    expect(await isSettled(slots.take(never))).toBe(false);
  });

  test('forgets whoever gives up waiting', async () => {
    const slots = new Slots(1);
    const leave = await slots.take(never);
    const patience = new AbortController();
    const impatient = slots.take(patience.signal);
    const patient = slots.take(never);
    patience.abort(new Error('too long'));
    await expect(impatient).rejects.toThrow('too long');
    leave();
    (await patient)();
    expect(slots.isIdle).toBe(true);
    await expect(slots.take(patience.signal)).rejects.toThrow('too long');
    expect(slots.isIdle).toBe(true);
  });
});
