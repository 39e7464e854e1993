import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SharedFailures } from '../../../../src/auth/throttle/shared-failures.ts';
import { createThrottle } from '../../../../src/auth/throttle/throttle.ts';

beforeEach(() => {
  vi.useFakeTimers();
  // lru-cache takes an entry that was made at 0 for one without a time.
  vi.advanceTimersByTime(1000);
});
afterEach(() => {
  vi.useRealTimers();
});

const limits = { perAddress: 5, perUser: 3, windowMs: 60_000 };
const wrong = async (): Promise<boolean> => false;
const right = async (): Promise<boolean> => true;
const home = '192.0.2.1';
const refused = expect.objectContaining({ code: 'too-many-requests' });

/** Counts as a store does, all windows at once. */
function createFailures(): SharedFailures & { isAway: boolean; remainingMs: number } {
  const counts = new Map<string, number>();
  const read: SharedFailures['read'] = async (keys) =>
    failures.isAway
      ? undefined
      : keys.map((key) => ({
          count: counts.get(key) ?? 0,
          remainingMs: failures.remainingMs,
        }));
  const failures = {
    isAway: false,
    remainingMs: limits.windowMs,
    read,
    add: async (keys: readonly string[]) => {
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
      return read(keys);
    },
  };
  return failures;
}

test('failures elsewhere count here, by user and by address', async () => {
  const failures = createFailures();
  const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
  await one.attempt(home, 'alice', wrong);
  await two.attempt(home, 'alice', wrong);
  await one.attempt(home, 'alice', wrong);
  await expect(two.attempt('192.0.2.9', 'alice', right)).rejects.toEqual(refused);
  one.fail(home);
  one.fail(home);
  await expect(two.attempt(home, 'bob', right)).rejects.toEqual(refused);
  expect(await two.attempt('192.0.2.9', 'bob', right)).toBe(true);
});

test('they count for as long as they do elsewhere', async () => {
  const failures = createFailures();
  const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
  for (let index = 0; index < 3; index += 1) await one.attempt(`192.0.2.${index}`, 'alice', wrong);
  failures.remainingMs = 2000;
  await expect(two.attempt(home, 'alice', right)).rejects.toMatchObject({
    options: { retryAfterSeconds: 2 },
  });
  failures.isAway = true;
  vi.advanceTimersByTime(2001);
  expect(await two.attempt(home, 'alice', right)).toBe(true);
});

test('without the others each counts alone', async () => {
  const failures = createFailures();
  failures.isAway = true;
  const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
  for (let index = 0; index < 3; index += 1) await one.attempt(home, 'alice', wrong);
  await expect(one.attempt(home, 'alice', right)).rejects.toEqual(refused);
  expect(await two.attempt(home, 'alice', right)).toBe(true);
});

test('who has logged in here before is not locked out by failures elsewhere', async () => {
  const failures = createFailures();
  const [one, two] = [createThrottle(limits, failures), createThrottle(limits, failures)];
  await two.attempt(home, 'alice', right);
  for (let index = 0; index < 3; index += 1) await one.attempt('203.0.113.1', 'alice', wrong);
  expect(await two.attempt(home, 'alice', right)).toBe(true);
});
