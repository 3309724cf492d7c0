import { expect, test } from '@jest/globals';
import { BodyBudget } from './body-budget.js';

const KB = 1024;

const sumOf = (budget: BodyBudget) => Reflect.get(budget, 'held') as number;

test('what was given back takes nothing again', () => {
  const budget = new BodyBudget({ perUser: 200 * KB, inAll: 300 * KB });
  const reservation = budget.reserve('ada');
  reservation.growTo(100 * KB);
  expect(sumOf(budget)).toBe(100 * KB);
  reservation.giveBack();
  expect(() => reservation.growTo(150 * KB)).toThrow();
  reservation.giveBack();
  expect(sumOf(budget)).toBe(0);
});

test('room is for what comes beside what is held already', () => {
  const budget = new BodyBudget({ perUser: 200 * KB, inAll: 300 * KB });
  const one = budget.reserve('ada');
  const two = budget.reserve('ada');
  const other = budget.reserve('bob');
  one.growTo(120 * KB);
  one.growTo(130 * KB);
  two.growTo(64 * KB);
  expect(() => two.growTo(71 * KB)).toThrow(expect.objectContaining({ code: 'rate_limited' }));
  two.growTo(70 * KB);
  expect(() => other.growTo(101 * KB)).toThrow(
    expect.objectContaining({ code: 'service_unavailable' }),
  );
  other.growTo(100 * KB);
  expect(sumOf(budget)).toBe(300 * KB);
});
