import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createReservedAttempts } from '../../../../src/auth/throttle/failure-gate.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const [first, second, third] = [{ count: 0 }, { count: 0 }, { count: 0 }];

test('count in the next window, for all but their holder', () => {
  const reserved = createReservedAttempts(2, 1000);
  reserved.reserve('alice', 'home', first);
  expect(reserved.countForOthers('alice', 'work', first)).toBe(0);
  for (const window of [second, undefined]) {
    expect(reserved.countForOthers('alice', 'home', window)).toBe(0);
    expect(reserved.countForOthers('alice', 'work', window)).toBe(1);
    expect(reserved.countForOthers('bob', 'work', window)).toBe(0);
  }
});

test('lapse', () => {
  const reserved = createReservedAttempts(2, 1000);
  reserved.reserve('alice', 'home', first);
  vi.advanceTimersByTime(999);
  expect(reserved.countForOthers('alice', 'work', second)).toBe(1);
  vi.advanceTimersByTime(1);
  expect(reserved.countForOthers('alice', 'work', second)).toBe(0);
});

test('are used up by an attempt of their holder', () => {
  const reserved = createReservedAttempts(2, 1000);
  reserved.reserve('alice', 'home', first);
  reserved.take('alice', 'work');
  expect(reserved.countForOthers('alice', 'work', second)).toBe(1);
  reserved.take('alice', 'home');
  expect(reserved.countForOthers('alice', 'work', second)).toBe(0);
});

test('are bounded in each window, and the first ones stay', () => {
  const reserved = createReservedAttempts(2, 1000);
  const counts = (window: object) =>
    ['a', 'c', 'd'].map((place) => reserved.countForOthers('alice', place, window));
  for (const place of ['a', 'b', 'c', 'a']) reserved.reserve('alice', place, first);
  expect(counts(second)).toEqual([1, 2, 2]);
  for (const place of ['d', 'e', 'f']) reserved.reserve('alice', place, second);
  expect(counts(second)).toEqual([1, 2, 2]);
  // Those of the window before last have not lapsed yet.
  expect(counts(third)).toEqual([2, 2, 2]);
});

test('none are made if none are allowed', () => {
  const reserved = createReservedAttempts(0, 1000);
  reserved.reserve('alice', 'home', first);
  expect(reserved.countForOthers('alice', 'x', second)).toBe(0);
});
