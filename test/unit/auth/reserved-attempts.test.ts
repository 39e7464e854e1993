import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createReservedAttempts } from '../../../src/auth/reserved-attempts.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const windowMs = 1000;
const nextWindow = (): void => void vi.advanceTimersByTime(windowMs);

test('count in the next window, for all but their holder', () => {
  const reserved = createReservedAttempts(2, windowMs);
  reserved.reserve('alice', 'home', windowMs);
  expect(reserved.countForOthers('alice', 'work')).toBe(0);
  nextWindow();
  expect(reserved.countForOthers('alice', 'home')).toBe(0);
  expect(reserved.countForOthers('alice', 'work')).toBe(1);
  expect(reserved.countForOthers('bob', 'work')).toBe(0);
  nextWindow();
  expect(reserved.countForOthers('alice', 'work')).toBe(0);
});

test('are used up by an attempt of their holder', () => {
  const reserved = createReservedAttempts(2, windowMs);
  reserved.reserve('alice', 'home', 0);
  reserved.take('alice', 'work');
  expect(reserved.countForOthers('alice', 'work')).toBe(1);
  reserved.take('alice', 'home');
  expect(reserved.countForOthers('alice', 'work')).toBe(0);
});

test('are bounded in each window, and the first ones stay', () => {
  const reserved = createReservedAttempts(2, windowMs);
  for (const place of ['a', 'b', 'c', 'a']) reserved.reserve('alice', place, windowMs);
  nextWindow();
  for (const place of ['d', 'e', 'f']) reserved.reserve('alice', place, windowMs);
  expect(['a', 'c', 'd'].map((place) => reserved.countForOthers('alice', place))).toEqual([
    1, 2, 2,
  ]);
  nextWindow();
  expect(['a', 'c', 'd'].map((place) => reserved.countForOthers('alice', place))).toEqual([
    2, 2, 1,
  ]);
});

test('none are made where none are allowed', () => {
  const reserved = createReservedAttempts(0, windowMs);
  reserved.reserve('alice', 'home', 0);
  expect(reserved.countForOthers('alice', 'x')).toBe(0);
});
